/*
 * What uprobes and USDT probes are set in: a program without a C library. It calls its functions as often as its first
 * argument's digit says and ends with the count of the probe's semaphore, which is 1 while someone listens.
 */
#define NOINLINE __attribute__((noinline, used))

/* The probe's semaphore. */
__attribute__((section(".probes"), used)) volatile unsigned short skep_work_semaphore;

/* What <sys/sdt.h> writes for DTRACE_PROBE4(skep, work, a, b, c, d), with a semaphore. */
#define PROBE(a, b, c, d)                                                        \
	__asm__ volatile("990: nop\n"                                            \
			 ".pushsection .note.stapsdt,\"?\",\"note\"\n"           \
			 ".balign 4\n"                                           \
			 ".4byte 992f-991f, 994f-993f, 3\n"                      \
			 "991: .asciz \"stapsdt\"\n"                             \
			 "992: .balign 4\n"                                      \
			 "993: .8byte 990b\n"                                    \
			 ".8byte _.stapsdt.base\n"                               \
			 ".8byte skep_work_semaphore\n"                          \
			 ".asciz \"skep\"\n"                                     \
			 ".asciz \"work\"\n"                                     \
			 ".asciz \"-4@%0 8@%1 -4@%2 2@%3\"\n"                    \
			 "994: .balign 4\n"                                      \
			 ".popsection\n"                                         \
			 ".ifndef _.stapsdt.base\n"                              \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n"                                \
			 ".hidden _.stapsdt.base\n"                              \
			 "_.stapsdt.base: .space 1\n"                            \
			 ".size _.stapsdt.base, 1\n"                             \
			 ".popsection\n"                                         \
			 ".endif\n"                                              \
			 :                                                       \
			 : "nor"(a), "nor"(b), "nor"(c), "nor"(d))

static long exit_code(long code)
{
	__asm__ volatile("syscall" : : "a"(231), "D"(code) : "rcx", "r11", "memory");
	__builtin_unreachable();
}

NOINLINE int probed(int round)
{
	volatile short seven = 7;
	PROBE(round, 0x1122334455667788ul - (unsigned long)round, -5, seven);
	return round * 2;
}

NOINLINE int probed_too(int round)
{
	return probed(round) + 1;
}

__attribute__((used)) int run(long *stack)
{
	char **arguments = (char **)(stack + 1);
	int rounds = stack[0] > 1 ? arguments[1][0] - '0' : 1;
	int sum = 0;
	for (int i = 0; i < rounds; i++)
		sum += probed_too(i);
	__asm__ volatile("" : : "r"(sum));
	return exit_code(skep_work_semaphore);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall run\n");

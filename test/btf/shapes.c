/* Every shape of type that a dump as C must lay out right. shapes.btf and shapes.btf.ext are its sections, by clang 19:
 * clang-19 -O2 -g -target bpf -c shapes.c && llvm-objcopy-19 --dump-section .BTF=shapes.btf --dump-section .BTF.ext=shapes.btf.ext shapes.o */
struct packed1 { char a; int b; long c; } __attribute__((packed));
struct bits { int a:3; int b:7; unsigned long c:33; char d; int :5; int e:2; };
struct hole { char a; long b; char c; } ;
struct al { char a; int b __attribute__((aligned(32))); };
struct flex { int n; struct { int a, b; union { long q; int z[3]; }; } in[]; };
enum e8 { A1, B1 } __attribute__((mode(byte))); enum ew { AW, BW } __attribute__((mode(word)));
enum big { X = 1ULL<<40, Y = 3 }; enum neg { N = -5, M = 1LL<<40 }; enum empty_fwd;
typedef int (*fn_t)(const struct hole *, void (*cb)(int, char **), ...); typedef void (*vf)(void);
typedef int arr_t[3][4]; typedef fn_t fnarr[5];
struct self { struct self *next, *const prev; const volatile int *const restrict p; fn_t f; fnarr fa; arr_t a; struct hole h; const char *names[7]; int (*parr)[8]; vf (*ret)(int); double d; float f2; _Bool bo; __int128 i128; };
union un { int a; struct { char x; } y; };
struct dup { int x; }; 
struct mutual_b; struct mutual_a { struct mutual_b *b; }; struct mutual_b { struct mutual_a a; struct bits bi; };
typedef struct { int v; } anon_t; typedef struct anon_u { anon_t *x; struct fwdonly *fo; union fwdu *fu; enum e8 e; enum ew w; enum big bg; enum neg ng; } anon_u_t;
struct bf2 { short a:5; short b:11; unsigned char c:1; int d:31; long e; char f:4; long g:40; } ;
struct noth {}; struct wn { struct noth n; int a; };
struct { int key; } anon_var; 
struct packed1 v1; struct bits v2; struct hole v3; struct al v4; struct flex v5; struct self v6; union un v7; struct dup v8; struct mutual_b v9; anon_u_t v10; struct bf2 v11; struct wn v12; 
int __attribute__((btf_type_tag("user"))) *tagged; struct tg { int __attribute__((btf_type_tag("rcu"))) *p; int q __attribute__((btf_decl_tag("dt"))); } v13;
extern int extf(int); static int __attribute__((noinline)) sf(int a){return extf(a)+1;} int gf(int x){return sf(x);} extern int ev __attribute__((section(".ksyms"))); int gev(void){return ev;}

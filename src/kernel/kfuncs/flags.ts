/** What a kernel function promises and demands, as bits. @see include/linux/btf.h, KF_* */

/** Returns a pointer to an object that has to be given back. */
export const KF_ACQUIRE = 1 << 0;
/** Gives back the object that it is passed. */
export const KF_RELEASE = 1 << 1;
/** The returned pointer may be null. */
export const KF_RET_NULL = 1 << 2;
/** Pointers must be referenced or otherwise sure to be valid. */
export const KF_TRUSTED_ARGS = 1 << 3;
export const KF_SLEEPABLE = 1 << 4;
/** For callers with CAP_SYS_BOOT. */
export const KF_DESTRUCTIVE = 1 << 5;
/** Pointers must be sure to be valid, if only until the RCU section ends. */
export const KF_RCU = 1 << 6;
/** Open-coded iterators: makes one, gives its next element, destroys it. */
export const KF_ITER_NEW = 1 << 7;
export const KF_ITER_NEXT = 1 << 8;
export const KF_ITER_DESTROY = 1 << 9;
/** For RCU sections only; what it returns is valid until the section ends. */
export const KF_RCU_PROTECTED = 1 << 10;
/** Keeps r1 to r5 where the program says so. */
export const KF_FASTCALL = 1 << 11;
/** Not one of Linux's: for programs that are bound to a device. */
export const KF_DEV_BOUND = 1 << 12;

/** What Linux's functions answer when they don't do it. */
export const ENOENT: i32 = -2;
export const E2BIG: i32 = -7;
export const EAGAIN: i32 = -11;
export const ENOMEM: i32 = -12;
export const EEXIST: i32 = -17;
export const EINVAL: i32 = -22;
export const ENOSPC: i32 = -28;

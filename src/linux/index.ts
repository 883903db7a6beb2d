/** The real Linux kernel behind the interface of `sys/`. */
export { type LinuxOptions, type LinuxStatus, linuxStatus, openLinux } from './kernel.ts';
export { mapFd } from './mmap.ts';

/** The next multiple of `align`, a power of two. */
export function alignUp(size: number, align: number): number {
  return Math.ceil(size / align) * align;
}

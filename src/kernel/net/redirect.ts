/** Where the last `bpf_redirect` or `bpf_redirect_map` of a CPU wants its packet to go, for who runs the program. */
export class RedirectInfo {
  /** Number of the device, or key in the map; `undefined` when no redirect was asked for. */
  target: number | undefined;
  flags = 0n;
  /** Id of the map that `target` is a key of. */
  map: number | undefined;
  /** Copies that `bpf_clone_redirect` sent. */
  clones: { readonly ifindex: number; readonly flags: bigint; readonly packet: Uint8Array }[] = [];

  /** Before each packet. */
  reset(): void {
    this.target = undefined;
    this.flags = 0n;
    this.map = undefined;
    if (this.clones.length > 0) this.clones = [];
  }
}

/** Ciphers: AES, in blocks of their own or chained. @see kernel/bpf/crypto.c; crypto/bpf_crypto_skcipher.c */
import { type Dynptr, readDynptr } from '../../helpers/impl/dynptr.ts';
import { addr, err, u32 } from '../../helpers/impl/values.ts';
import type { HelperImpl, HelperRun } from '../../interpreter/environment.ts';
import { type Addr, at, NULL } from '../../memory/index.ts';
import { AES_BLOCK, Aes, CIPHERS, type Cipher } from '../aes.ts';
import { dynptrPlace } from './dynptr.ts';

/** `struct bpf_crypto_params`: offsets in bytes. */
const PARAMS = {
  type: 0,
  reserved: 14,
  algorithm: 16,
  key: 144,
  keyLength: 400,
  tagLength: 404,
  size: 408,
} as const;
const MAX_KEY = 256;
const KEY_LENGTHS: ReadonlySet<number> = new Set([16, 24, 32]);
const CONTEXT_SIZE = 64;
const MAPPING = { kind: 'mem', owner: 'bpf_crypto_ctx', access: 'none' } as const;
const latin1 = new TextDecoder('latin1');

interface Context {
  readonly cipher: Cipher;
  readonly aes: Aes;
}

/** By the machine that they are on, and by their address. */
const contexts = new WeakMap<object, Map<number, Context>>();

function contextsOf({ machine }: HelperRun): Map<number, Context> {
  let known = contexts.get(machine);
  if (!known) {
    known = new Map();
    contexts.set(machine, known);
  }
  return known;
}

function textAt(bytes: Uint8Array, from: number, to: number): string {
  const text = bytes.subarray(from, to);
  const end = text.indexOf(0);
  return latin1.decode(text.subarray(0, end < 0 ? text.length : end));
}

/** What is wanted, or why it can't be had. */
function parse(bytes: Uint8Array): Context | number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint16(PARAMS.reserved, true) !== 0) return err('EINVAL');
  if (textAt(bytes, PARAMS.type, PARAMS.reserved) !== 'skcipher') return err('ENOENT');
  const cipher = CIPHERS[textAt(bytes, PARAMS.algorithm, PARAMS.key)];
  if (!cipher || view.getUint32(PARAMS.tagLength, true) !== 0) return err('EOPNOTSUPP');
  const length = view.getUint32(PARAMS.keyLength, true);
  if (length === 0 || length > MAX_KEY || !KEY_LENGTHS.has(length)) return err('EINVAL');
  return { cipher, aes: new Aes(bytes.slice(PARAMS.key, PARAMS.key + length)) };
}

export const bpf_crypto_ctx_create: HelperImpl = (run, params, length, status) => {
  const { memory } = run.machine;
  const fail = (errno: number): bigint => {
    memory.view.setInt32(addr(status), errno, true);
    return 0n;
  };
  if (params === 0n || u32(length) !== PARAMS.size) return fail(err('EINVAL'));
  const context = parse(memory.read(addr(params), PARAMS.size));
  if (typeof context === 'number') return fail(context);
  const place = memory.tryAllocate(CONTEXT_SIZE, MAPPING);
  if (place === NULL) return fail(err('ENOMEM'));
  contextsOf(run).set(place, context);
  run.kernel.heap.adopt(place, 1, () => contextsOf(run).delete(place));
  fail(0);
  return BigInt(place);
};

export const bpf_crypto_ctx_acquire: HelperImpl = ({ kernel }, context) =>
  kernel.heap.acquire(context) ? context : 0n;

export const bpf_crypto_ctx_release: HelperImpl = ({ kernel }, context) => {
  kernel.heap.drop(context);
  return 0n;
};

/** Where a dynptr's bytes lie together; 0 where they don't. */
const placeOf = (run: HelperRun, dynptr: Dynptr | undefined): Addr =>
  dynptr ? (dynptrPlace(run, dynptr, dynptr.size) as Addr) : NULL;

const crypt =
  (how: 'encrypt' | 'decrypt'): HelperImpl =>
  (run, contextPointer, source, target, vectorPointer) => {
    const { memory } = run.machine;
    const context = contextsOf(run).get(Number(contextPointer));
    const from = readDynptr(run, source);
    const to = readDynptr(run, target);
    const vector = vectorPointer === 0n ? undefined : readDynptr(run, vectorPointer);
    if (!context || !from || !to || to.readOnly || from.size === 0 || from.size > to.size)
      return err('EINVAL');
    if ((vector?.size ?? 0) !== context.cipher.vectorLength) return err('EINVAL');
    const [input, output, start] = [placeOf(run, from), placeOf(run, to), placeOf(run, vector)];
    if (input === NULL || output === NULL || (vector && start === NULL)) return err('EINVAL');
    if (from.size % AES_BLOCK !== 0) return err('EINVAL');
    const bytes = memory.read(input, from.size);
    const state = memory.read(start, vector?.size ?? 0);
    context.cipher[how](context.aes, bytes, state);
    memory.write(output, bytes);
    if (vector) memory.write(at(start, 0), state);
    return 0;
  };

export const bpf_crypto_encrypt = crypt('encrypt');
export const bpf_crypto_decrypt = crypt('decrypt');

import { InputError } from '../base/error.ts';
import { attachTypeId, type Bpf, errnoId, type ProgLoadAttr, progTypeId } from '../sys/index.ts';
import { ATTR, type AttrFields } from './attr.ts';
import type { Caller } from './call.ts';
import { failure } from './failure.ts';
import { LogBuffer } from './log.ts';
import { checkName } from './map.ts';

const ENOSPC = errnoId('ENOSPC');
const INSN_BYTES = 8;
const FUNC_INFO_BYTES = 8;
const LINE_INFO_BYTES = 16;
const CORE_RELO_BYTES = 16;
const PROG_TRUE_SIZE = ATTR.prog_load.members.log_true_size.offset;
const BTF_TRUE_SIZE = ATTR.btf_load.members.btf_log_true_size.offset;

/** PROG_LOAD and BTF_LOAD: what has a log. */
export function loadCommands(caller: Caller, log: LogBuffer): Pick<Bpf, 'prog_load' | 'btf_load'> {
  const { scratch } = caller;
  return {
    prog_load(attr) {
      checkName('program', attr.prog_name);
      if (attr.insns.length % INSN_BYTES !== 0) {
        throw new InputError(
          'linux-prog-load',
          `loading ${attr.prog_type} program: ${attr.insns.length} bytes are not a whole number of 8-byte instructions`,
          { errno: 'EINVAL' },
        );
      }
      scratch.reset();
      const fields = progFields(caller, attr);
      const level = attr.log_level ?? 0;
      if (level === 0) {
        const result = caller.try('prog_load', fields);
        if (result < 0) throw failure('prog_load', attr, -result);
        return { fd: caller.adopt(result, { kind: 'prog', type: attr.prog_type }), log: '' };
      }
      for (let size = attr.log_size ?? log.firstBytes; ; ) {
        const log_buf = log.reserve(size);
        const result = caller.try('prog_load', { ...fields, log_level: level, log_size: size, log_buf });
        const trueSize = scratch.view.getUint32(PROG_TRUE_SIZE, true);
        if (result === -ENOSPC && attr.log_size === undefined) {
          const larger = LogBuffer.grown(size, trueSize);
          if (larger !== undefined) {
            size = larger;
            continue;
          }
        }
        const text = log.read(size, trueSize);
        // The log that did not fit ends anywhere: its last line is no reason.
        if (result === -ENOSPC) throw failure('prog_load', attr, ENOSPC);
        if (result < 0) throw failure('prog_load', attr, -result, text);
        return { fd: caller.adopt(result, { kind: 'prog', type: attr.prog_type }), log: text };
      }
    },

    btf_load(attr) {
      scratch.reset();
      const fields: AttrFields<'btf_load'> = {
        btf: scratch.put(attr.btf),
        btf_size: attr.btf.length,
        btf_token_fd: attr.token_fd ?? 0,
        btf_flags: attr.token_fd === undefined ? 0 : TOKEN_FD,
      };
      let level = attr.log_level ?? 0;
      for (;;) {
        const size = level === 0 ? 0 : log.firstBytes;
        const result = caller.try('btf_load', {
          ...fields,
          btf_log_level: level,
          btf_log_size: size,
          btf_log_buf: level === 0 ? 0n : log.reserve(size),
        });
        if (result >= 0) return caller.adopt(result);
        if (level > 0) {
          throw failure(
            'btf_load',
            attr,
            -result,
            log.read(size, scratch.view.getUint32(BTF_TRUE_SIZE, true)),
          );
        }
        // A refusal without a log says nothing: ask again with one.
        level = 1;
      }
    },
  };
}

/** BPF_F_TOKEN_FD, which tells a token's fd from an absent one. */
const TOKEN_FD = 1 << 16;

function progFields(caller: Caller, attr: ProgLoadAttr): AttrFields<'prog_load'> {
  const { scratch } = caller;
  const funcRecord = attr.func_info_rec_size ?? FUNC_INFO_BYTES;
  const lineRecord = attr.line_info_rec_size ?? LINE_INFO_BYTES;
  const coreRecord = attr.core_relo_rec_size ?? CORE_RELO_BYTES;
  const fields: { -readonly [K in keyof AttrFields<'prog_load'>]: AttrFields<'prog_load'>[K] } = {
    prog_type: progTypeId(attr.prog_type),
    insn_cnt: attr.insns.length / INSN_BYTES,
    insns: scratch.put(attr.insns),
    license: scratch.putString(attr.license),
    kern_version: attr.kern_version ?? 0,
    prog_flags: attr.prog_flags ?? 0,
    prog_name: attr.prog_name ?? '',
    expected_attach_type:
      attr.expected_attach_type === undefined ? 0 : attachTypeId(attr.expected_attach_type),
  };
  if (attr.prog_ifindex !== undefined) fields.prog_ifindex = attr.prog_ifindex;
  if (attr.prog_btf_fd !== undefined) fields.prog_btf_fd = attr.prog_btf_fd;
  if (attr.func_info !== undefined) {
    fields.func_info = scratch.put(attr.func_info);
    fields.func_info_cnt = Math.floor(attr.func_info.length / funcRecord);
    fields.func_info_rec_size = funcRecord;
  }
  if (attr.line_info !== undefined) {
    fields.line_info = scratch.put(attr.line_info);
    fields.line_info_cnt = Math.floor(attr.line_info.length / lineRecord);
    fields.line_info_rec_size = lineRecord;
  }
  if (attr.core_relos !== undefined) {
    fields.core_relos = scratch.put(attr.core_relos);
    fields.core_relo_cnt = Math.floor(attr.core_relos.length / coreRecord);
    fields.core_relo_rec_size = coreRecord;
  }
  if (attr.attach_btf_id !== undefined) fields.attach_btf_id = attr.attach_btf_id;
  const attachTo = attr.attach_prog_fd ?? attr.attach_btf_obj_fd;
  if (attachTo !== undefined) fields.attach_prog_fd = attachTo;
  if (attr.fd_array !== undefined) {
    fields.fd_array = scratch.put(new Uint8Array(Int32Array.from(attr.fd_array).buffer));
    fields.fd_array_cnt = attr.fd_array_cnt ?? 0;
  }
  if (attr.prog_token_fd !== undefined) fields.prog_token_fd = attr.prog_token_fd;
  if (attr.signature !== undefined) {
    fields.signature = scratch.put(attr.signature);
    fields.signature_size = attr.signature.length;
    fields.keyring_id = attr.keyring_id ?? 0;
  }
  return fields;
}

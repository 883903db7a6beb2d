/**
 * One access to memory through a register: finds what the register points to and checks the access by its rules.
 * A load leaves its value in a register.
 */
import { PROGRAMS, type ProgramFacts } from '../../programs/index.ts';
import { checkAlignment } from './access-align.ts';
import { accessBtfObject, accessMapObject } from './access-btf.ts';
import { bufferName, checkBuffer, checkFlowKeys } from './access-buffer.ts';
import { accessContext, programType } from './access-context.ts';
import { accessMapValue } from './access-map.ts';
import { checkPacket, checkRegion } from './access-region.ts';
import { accessSocket } from './access-socket.ts';
import { loadUnknown } from './access-value.ts';
import type { Explorer } from './explorer.ts';
import type { RegState } from './reg.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  MEM_RDONLY,
  mayBeNull,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  PTR_UNTRUSTED,
  regTypeName,
} from './reg-type.ts';
import { isPointer } from './regs.ts';
import { accessStack } from './stack-access.ts';

/** The access must be aligned whatever it goes to. */
export const STRICT = 1;
/** The load sign-extends. */
export const SIGNED = 2;

/**
 * Checks that `size` bytes at `regno + off` may be read or written.
 *
 * @param valueRegno register that is stored or that receives what is loaded; -1 for an unknown value or none
 * @param options bits {@link STRICT} and {@link SIGNED}
 */
export function checkMemAccess(
  ex: Explorer,
  regno: number,
  off: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  options = 0,
): void {
  const reg = ex.state.frame().reg(regno);
  const signed = (options & SIGNED) !== 0;
  checkAlignment(ex, regno, reg, off, size, (options & STRICT) !== 0);
  const at = off + reg.off;
  switch (reg.type) {
    case PTR_TO_STACK:
      accessStack(ex, regno, reg, at, size, access, valueRegno, signed);
      return;
    case PTR_TO_MAP_VALUE:
      if (access === 'write') checkLeak(ex, valueRegno, 'map');
      accessMapValue(ex, regno, reg, at, size, access, valueRegno, signed);
      return;
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
      if (access === 'write') checkPacketWrite(ex, valueRegno);
      checkPacket(ex, regno, at, size, false);
      if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
      return;
    case PTR_TO_CTX:
      if (access === 'write') checkLeak(ex, valueRegno, 'ctx');
      accessContext(ex, regno, reg, off, size, access, valueRegno, signed);
      return;
    case PTR_TO_MAP_KEY:
      if (access === 'write') {
        ex.refuse('read-only-memory', `write to change key R${regno} not allowed`, {
          reason: 'a key that changed would be in the wrong place of the map',
        });
      }
      checkRegion(ex, regno, at, size, reg.map!.keySize, false);
      loadUnknown(ex, valueRegno, size, signed);
      return;
    case PTR_TO_FLOW_KEYS:
      if (access === 'write') checkLeak(ex, valueRegno, 'flow keys');
      checkFlowKeys(ex, at, size);
      if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
      return;
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
      accessSocket(ex, regno, reg, at, size, access, valueRegno, signed);
      return;
    case PTR_TO_TP_BUFFER:
      checkBuffer(ex, 'tracepoint', regno, reg, at, size);
      if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
      return;
    case CONST_PTR_TO_MAP:
      accessMapObject(ex, regno, reg, at, size, access, valueRegno);
      return;
    case PTR_TO_ARENA:
      if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
      return;
    default:
      accessOther(ex, regno, reg, at, size, access, valueRegno, signed);
  }
}

/** Pointers of which the type has modifiers. */
function accessOther(
  ex: Explorer,
  regno: number,
  reg: RegState,
  at: number,
  size: number,
  access: 'read' | 'write',
  valueRegno: number,
  signed: boolean,
): void {
  const readOnly = (reg.type & MEM_RDONLY) !== 0;
  if (!mayBeNull(reg.type)) {
    switch (baseType(reg.type)) {
      case PTR_TO_MEM:
        if (access === 'write') {
          if (readOnly) refuseWrite(ex, regno, reg);
          checkLeak(ex, valueRegno, 'mem');
        }
        // What can't be trusted is read with instructions that survive a fault.
        if (!readOnly || (reg.type & PTR_UNTRUSTED) === 0) {
          checkRegion(ex, regno, at, size, reg.memSize, false);
        }
        if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
        return;
      case PTR_TO_BTF_ID:
        accessBtfObject(ex, regno, reg, at, size, access, valueRegno);
        return;
      case PTR_TO_BUF:
        if (readOnly && access === 'write') refuseWrite(ex, regno, reg);
        checkBuffer(ex, bufferName(reg), regno, reg, at, size);
        if (access === 'read') loadUnknown(ex, valueRegno, size, signed);
        return;
      default:
    }
  }
  const type = regTypeName(reg.type);
  ex.refuse('not-a-pointer', `R${regno} invalid mem access '${type}'`, {
    reason: mayBeNull(reg.type)
      ? `r${regno} may be null here`
      : `r${regno} holds a value of type ${type}, through which no memory can be reached`,
    hint: mayBeNull(reg.type) ? `compare r${regno} with 0 before the access` : undefined,
  });
}

export function refuseWrite(ex: Explorer, regno: number, reg: RegState): never {
  ex.refuse('read-only-memory', `R${regno} cannot write into ${regTypeName(reg.type)}`, {
    reason: 'the memory is for reading only',
  });
}

/** A stored address can be read back by others. */
function checkLeak(ex: Explorer, valueRegno: number, where: string): void {
  if (valueRegno < 0) return;
  const value = ex.state.frame().reg(valueRegno);
  if (!isPointer(ex.caps.allowPtrLeaks, value)) return;
  ex.refuse('pointer-leak', `R${valueRegno} leaks addr into ${where}`, {
    reason: `r${valueRegno} holds an address of the kernel, which the caller must not learn`,
    hint: 'store a number, or load the program with CAP_PERFMON',
  });
}

function checkPacketWrite(ex: Explorer, valueRegno: number): void {
  const type = programType(ex.draft);
  const facts: ProgramFacts = PROGRAMS[type];
  if (facts.packetAccess !== 'write') {
    ex.refuse('packet-write', 'cannot write into packet', {
      reason: `programs of type ${type} may not change packets`,
    });
  }
  checkLeak(ex, valueRegno, 'packet');
}

/** ELF64 files of either byte order: read, checked, and written as relocatable BPF objects. Pure; runs in a browser. */
export {
  type BpfDataInput,
  type BpfFunctionInput,
  type BpfMapInput,
  type BpfObjectInput,
  type BpfRelocInput,
  writeBpfObject,
} from './bpf-object.ts';
export {
  BPF_RELOC,
  ELF_TYPE,
  EM_BPF,
  relocName,
  SECTION_FLAG,
  SECTION_INDEX,
  SECTION_TYPE,
  SYMBOL_BIND,
  SYMBOL_TYPE,
  SYMBOL_VISIBILITY,
} from './facts.ts';
export {
  type ElfFile,
  type ElfReloc,
  type ElfRelocSection,
  type ElfSection,
  type ElfSymbol,
  findSection,
  readBpfElf,
  readElf,
  where,
} from './read.ts';
export {
  type ElfInput,
  type ElfRelocInput,
  type ElfSectionInput,
  type ElfSymbolInput,
  writeElf,
} from './write.ts';

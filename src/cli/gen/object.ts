import type { ObjectFact } from '../grammar/object.ts';

/** `gen`. */
export const genObject: ObjectFact = {
  name: 'gen',
  about: 'link objects, and write modules of them',
  commands: [
    ['object', () => import('./link-object.ts').then((module) => module.linkObject)],
    ['skeleton', () => import('./skeleton.ts').then((module) => module.generateSkeleton)],
    ['subskeleton', () => import('./c-command.ts').then((module) => module.generateSubskeleton)],
    ['min_core_btf', () => import('./min-core-btf.ts').then((module) => module.generateMinCoreBtf)],
  ],
  usage: `Usage: skep gen object OUTPUT_FILE INPUT_FILE [INPUT_FILE...]
       skep gen skeleton FILE [name OBJECT_NAME]
       skep gen skeleton --c[=LIBBPF] FILE [name OBJECT_NAME]
       skep gen subskeleton [--c=LIBBPF] FILE [name OBJECT_NAME]
       skep gen min_core_btf INPUT OUTPUT OBJECT [OBJECT...]
       skep gen help

       object links objects into one; skeleton writes a TypeScript module, or with --c the C header that bpftool writes;
       subskeleton writes a C header, -L skeleton one with a program that loads the object.
       LIBBPF := { 1.1 | 1.8 } is the oldest libbpf that is to take the header.
       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-d|--debug} |
                    {-L|--use-loader} | [ {-S|--sign } {-k} <private_key.pem> {-i} <certificate.x509> ]}
`,
};

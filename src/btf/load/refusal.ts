/** Why Linux would not load a BTF. */
export interface BtfRefusal {
  readonly errno: 'EINVAL' | 'E2BIG' | 'EEXIST' | 'ENOTSUPP' | 'ELOOP';
  /** Linux's words (`Invalid name`). */
  readonly problem: string;
  /** The type; absent where it is the header or a section. */
  readonly id?: number;
  /** The member, parameter, enumerator or variable, counted from 0. */
  readonly component?: number;
}

export function refusal(problem: string, id?: number, component?: number): BtfRefusal {
  return {
    errno: 'EINVAL',
    problem,
    ...(id !== undefined && { id }),
    ...(component !== undefined && { component }),
  };
}

import { InputError } from '../base/error.ts';
import type { Command } from './registry.ts';
export const asmCommand = {} as Command;
void InputError;

import type { Status } from './protocol.ts';

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
const SHOWN = 8;

/** What a kernel process holds that ends with it, as a sentence. */
export function heldText({ programs, maps, links, pins }: Status): string {
  const held = [
    programs > 0 ? count(programs, 'program') : '',
    maps > 0 ? count(maps, 'map') : '',
    links > 0 ? count(links, 'link') : '',
    pins.length > 0 ? count(pins.length, 'pin') : '',
  ].filter((part) => part !== '');
  if (held.length === 0) return 'It held nothing.';
  const shown = pins.slice(0, SHOWN).join(', ');
  const more = pins.length > SHOWN ? `, ${pins.length - SHOWN} more` : '';
  return `Lost with it: ${held.join(', ')}${shown === '' ? '' : ` (${shown}${more})`}.`;
}

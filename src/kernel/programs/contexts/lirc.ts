import { struct, u32 } from '../../../base/layout.ts';
import { context, u32Exact } from '../context.ts';

/** One sample of an infrared receiver: type in the high byte, microseconds below. @see include/uapi/linux/lirc.h, LIRC_MODE2_* */
export const LIRC_LAYOUT = struct({ sample: u32 });

export const LIRC_CONTEXT = context('u32', LIRC_LAYOUT, undefined, { sample: { read: u32Exact } });

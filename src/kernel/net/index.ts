export { type DeviceSpec, Devices, type NetDevice } from './device.ts';
export { PACKET_TYPES } from './packet-types.ts';
export { RedirectInfo } from './redirect.ts';
export { PacketRunner } from './runner.ts';
export { testRun } from './test-run.ts';

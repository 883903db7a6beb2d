/** Captures: pcap and pcapng, read and written, streaming. Pure: no I/O, runs in a browser. */
export { type FrameConversion, FrameConverter, frameConversion } from './ethernet.ts';
export { ETHERNET, findLinkType, LINK_TYPES, type LinkType } from './linktype.ts';
export {
  type CaptureFormat,
  type CaptureInterface,
  MAX_PACKET,
  type Packet,
  packetLimit,
  timestamp,
} from './packet.ts';
export type { RecordLayout } from './pcap.ts';
export { CaptureReader, readCapture, readCaptureStream } from './reader.ts';
export {
  CaptureWriter,
  type CaptureWriterOptions,
  type InterfaceOptions,
  type PacketToWrite,
  writeCapture,
} from './writer.ts';

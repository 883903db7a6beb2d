/** The fields of a socket, as programs read them through a pointer to one. */
import { SOCK } from '../programs/contexts/sock.ts';
import { FieldView } from './field-view.ts';

export const SOCKET_VIEW = new FieldView(SOCK, undefined);

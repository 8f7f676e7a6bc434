/** How bodies of messages leave: as bytes, as a stream, or as the number that the host has for them. */
import type { Body } from "./body";
import { Request, bodyOfRequest } from "./request";
import { Response, bodyOfResponse } from "./response";
import type { ReadableStream } from "./streams";

/**
 * What is left of a message's body, to be sent on: in one piece where it is in one piece. The message has been read
 * then; a stream is for the caller to read. The bytes may be shared with a clone: do not change them.
 */
export function takeBody(message: Request | Response): null | Uint8Array | string | ReadableStream<unknown> {
  const body: Body = message instanceof Request ? bodyOfRequest(message) : bodyOfResponse(message);
  if (body.isUnusable) body.use();
  if (body.pull || body.stream) return body.toStream();
  body.use();
  return body.source;
}

/** Whether the host has the message's body, and nobody has encoded it. */
export function isPlainBody(message: Response): boolean {
  return bodyOfResponse(message).isPlain;
}

/** The host's number of a body that came from elsewhere and was not touched here; the message has been read then. */
export function releaseBody(message: Request | Response): number | undefined {
  return (message instanceof Request ? bodyOfRequest(message) : bodyOfResponse(message)).release();
}

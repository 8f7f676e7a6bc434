/** Queues: what is sent to them. What comes out of them is in `worker/queue.ts`. */
import type { FieldIn } from "../host";
import { serialize } from "../web/serialize";
import { bytesOf, describe } from "../web/webidl";
import type { Access } from "./access";

type Kind = "json" | "text" | "bytes" | "v8";

interface SendOptions {
  contentType?: Kind;
  delaySeconds?: number;
}

interface MessageToSend extends SendOptions {
  body: unknown;
}

function fieldsOf(body: unknown, { contentType, delaySeconds }: SendOptions, delay: number | undefined): FieldIn[] {
  const kind = contentType ?? "json";
  let sent: FieldIn;
  switch (kind) {
    case "text":
      if (typeof body !== "string") throw new TypeError("A message of the content type text is a string");
      sent = body.toWellFormed();
      break;
    case "bytes": {
      const bytes = bytesOf(body);
      if (!bytes) throw new TypeError("A message of the content type bytes is an ArrayBuffer or a view of one");
      sent = bytes;
      break;
    }
    case "json":
      sent = JSON.stringify(body);
      if (sent === undefined) throw new TypeError("The message cannot be made JSON");
      break;
    case "v8":
      sent = serialize(body);
      break;
    default:
      throw new TypeError(`Not a content type of messages: ${String(kind)}`);
  }
  return [kind, sent, delaySeconds ?? delay ?? null];
}

export class WorkerQueue {
  #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async send(body: unknown, options?: SendOptions): Promise<void> {
    await this.#access.ask("queue.send", ...fieldsOf(body, options ?? {}, undefined));
  }

  async sendBatch(messages: Iterable<MessageToSend>, options?: { delaySeconds?: number }): Promise<void> {
    const fields = [...messages].flatMap(message => fieldsOf(message.body, message, options?.delaySeconds));
    if (!fields.length) throw new TypeError("A batch has at least one message");
    await this.#access.ask("queue.send", ...fields);
  }
}
describe(WorkerQueue, "WorkerQueue");

/** Messages that only JavaScript's values can be. Python sends them itself. */
export function queueForPython(): object {
  return { serialize: (value: unknown) => serialize(value) };
}

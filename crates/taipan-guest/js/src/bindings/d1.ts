/** Databases. How statements and results travel is written down in `taipan-bindings/src/ops/d1.rs`. */
import { bytesOf, describe } from "../web/webidl";
import type { Access } from "./access";

// Taken before any code of the Worker can change the globals.
const { atob, btoa } = globalThis as unknown as Record<"atob" | "btoa", (text: string) => string>;

interface Result {
  columns: string[];
  rows: unknown[][];
  blobs: boolean;
  meta: Record<string, unknown>;
}

type Row = Record<string, unknown>;

function parameter(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.toWellFormed());
    case "boolean":
      return value ? "1" : "0";
    case "bigint":
      return `${value}`;
    case "number":
      if (Number.isNaN(value)) return "null";
      return Number.isFinite(value) ? JSON.stringify(value) : `{"f":"${value < 0 ? "-inf" : "inf"}"}`;
  }
  if (value === null) return "null";
  const bytes = Array.isArray(value) ? Uint8Array.from(value as number[]) : bytesOf(value);
  if (!bytes) throw new TypeError(`D1_TYPE_ERROR: Type '${typeof value}' not supported for value '${String(value)}'`);
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return `{"b":"${btoa(text)}"}`;
}

/** The rows, with blobs as lists of numbers. */
function rowsOf({ rows, blobs }: Result): unknown[][] {
  if (!blobs) return rows;
  const decode = (value: unknown) =>
    value !== null && typeof value === "object" ? Array.from(atob((value as { b: string }).b), (c: string) => c.charCodeAt(0)) : value;
  return rows.map(row => row.map(decode));
}

function objectsOf(result: Result): Row[] {
  return rowsOf(result).map(row => Object.fromEntries(result.columns.map((name, i) => [name, row[i]])));
}

const answer = (result: Result, results: unknown[] = objectsOf(result)) => ({ success: true, meta: result.meta, results });

async function run(access: Access, statements: string[]): Promise<Result[]> {
  const [json] = await access.ask("d1.run", `[${statements.join(",")}]`);
  return JSON.parse(json as string) as Result[];
}

/** A statement as it travels; not for users. */
let json: (statement: D1PreparedStatement) => string;

export class D1PreparedStatement {
  #access: Access;
  #sql: string;
  #parameters: string[];

  constructor(access: Access, sql: string, parameters: string[]) {
    this.#access = access;
    this.#sql = sql;
    this.#parameters = parameters;
  }

  bind(...values: unknown[]): D1PreparedStatement {
    return new D1PreparedStatement(this.#access, this.#sql, values.map(parameter));
  }

  async all(): Promise<unknown> {
    return answer(await this.#run());
  }

  async run(): Promise<unknown> {
    return answer(await this.#run());
  }

  async first(column?: string): Promise<unknown> {
    const [row] = objectsOf(await this.#run());
    if (!row) return null;
    if (column === undefined || column === null) return row;
    if (!Object.hasOwn(row, column)) throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`);
    return row[column];
  }

  async raw(options?: { columnNames?: boolean }): Promise<unknown[][]> {
    const result = await this.#run();
    return options?.columnNames ? [result.columns, ...rowsOf(result)] : rowsOf(result);
  }

  async #run(): Promise<Result> {
    const [result] = await run(this.#access, [json(this)]);
    return result as Result;
  }

  static #json(statement: D1PreparedStatement): string {
    return `[${JSON.stringify(statement.#sql.toWellFormed())},[${statement.#parameters.join(",")}]]`;
  }

  static {
    json = D1PreparedStatement.#json;
  }
}
describe(D1PreparedStatement, "D1PreparedStatement");

export class D1DatabaseSession {
  #access: Access;
  #bookmark: string | null = null;

  constructor(access: Access, constraint: string | undefined) {
    this.#access = access;
    if (constraint !== undefined && typeof constraint !== "string") throw new TypeError("A session begins at a bookmark");
    // There is one copy of the database, which has all that was acknowledged: any bookmark is behind it.
    if (constraint && !constraint.startsWith("first-")) this.#bookmark = constraint;
  }

  prepare(sql: string): D1PreparedStatement {
    const { ask } = this.#access;
    const noting: Access = {
      ...this.#access,
      ask: async (op, ...fields) => {
        const answer = await ask(op, ...fields);
        this.#note();
        return answer;
      },
    };
    return new D1PreparedStatement(noting, `${sql}`, []);
  }

  async batch(statements: D1PreparedStatement[]): Promise<unknown[]> {
    const results = await batch(this.#access, statements);
    this.#note();
    return results;
  }

  getBookmark(): string | null {
    return this.#bookmark;
  }

  #note(): void {
    this.#bookmark = this.#access.askNow("d1.bookmark")[0] as string;
  }
}
describe(D1DatabaseSession, "D1DatabaseSession");

async function batch(access: Access, statements: D1PreparedStatement[]): Promise<unknown[]> {
  if (!Array.isArray(statements) || !statements.length) throw new TypeError("A batch is a list of statements");
  return (await run(access, statements.map(json))).map(result => answer(result));
}

export class D1Database {
  #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  prepare(sql: string): D1PreparedStatement {
    return new D1PreparedStatement(this.#access, `${sql}`, []);
  }

  batch(statements: D1PreparedStatement[]): Promise<unknown[]> {
    return batch(this.#access, statements);
  }

  async exec(sql: string): Promise<{ count: number; duration: number }> {
    const [count, duration] = await this.#access.ask("d1.script", `${sql}`);
    return { count: count as number, duration: duration as number };
  }

  withSession(constraint?: string): D1DatabaseSession {
    return new D1DatabaseSession(this.#access, constraint);
  }
}
describe(D1Database, "D1Database");

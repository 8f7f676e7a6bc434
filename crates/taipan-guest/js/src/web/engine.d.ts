/** Globals that QuickJS-ng brings beyond the ECMAScript language; all others are defined in this folder. */
declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}
declare function atob(text: string): string;
declare function btoa(text: string): string;

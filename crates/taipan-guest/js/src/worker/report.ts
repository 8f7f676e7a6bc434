/** Reports of failures that JavaScript finds, in the shape of those that `_taipan_report.py` makes. */

export interface Report {
  kind: "exception" | "syntax" | "import" | "no_handler" | "bad_return" | "hung" | "startup";
  type: string;
  message: string;
  frames: never[];
  text: string;
  notes: string[];
  cause: null;
  hint: string | null;
}

/** The report of a failure outside of Python's frames, as JSON. */
export function failureReport(error: unknown, kind: Report["kind"]): string {
  const type = error instanceof Error ? error.name : "Error";
  const message = error instanceof Error ? error.message : String(error);
  const report: Report = { kind, type, message, frames: [], text: `${type}: ${message}\n`, notes: [], cause: null, hint: null };
  return JSON.stringify(report);
}

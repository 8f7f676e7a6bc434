// Bundles src/main.ts into one script for QuickJS-ng: `npm run build -- OUTFILE`, or OUTFILE from BUNDLE_OUT.
import { build } from "esbuild";

const outfile = process.argv[2] ?? process.env.BUNDLE_OUT;
if (!outfile) {
  console.error("No output file: name it as the argument or in BUNDLE_OUT");
  process.exit(2);
}
await build({
  entryPoints: [new URL("src/main.ts", import.meta.url).pathname],
  outfile,
  bundle: true,
  format: "iife",
  target: "es2023",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  logLevel: "warning",
});

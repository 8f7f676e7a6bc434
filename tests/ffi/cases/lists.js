// Lists of Python have the methods of arrays: each must do what it does to an array of the same content.
(() => {
  const cases = {};
  const compare = (name, list, ...uses) => {
    cases[name] = ({ pyodide, is }) => {
      for (const use of uses) {
        const array = structuredClone(list), python = pyodide.toPy(list);
        const run = (a) => {
          let r;
          try {
            r = use(a);
          } catch (e) {
            r = e.name;
          }
          if (r === a) return "itself";
          if (r !== null && typeof r === "object" && typeof r.toJs === "function") r = r.toJs();
          return JSON.stringify(r) ?? String(r);
        };
        is(run(python), run(array));
        is(JSON.stringify(python.toJs()), JSON.stringify(array));
        python.destroy();
      }
    };
  };
  const n = [5, 12, 8, 130, 44, 8], words = ["ant", "bison", "camel", "duck", "bison"];
  compare("index", n, (a) => [a[0], a[5], a[6]], (a) => a.at(-1), (a) => a.at(9), (a) => 2 in a, (a) => 9 in a);
  compare("length", n, (a) => a.length);
  compare("join", words, (a) => a.join(), (a) => a.join(", "), (a) => a.join(""));
  compare("slice", words, (a) => a.slice(2), (a) => a.slice(2, 4), (a) => a.slice(-2), (a) => a.slice(2, -1), (a) => a.slice());
  compare("indexOf", words, (a) => a.indexOf("bison"), (a) => a.indexOf("bison", 2), (a) => a.indexOf("bison", -4), (a) => a.indexOf("x"));
  compare("lastIndexOf", words, (a) => a.lastIndexOf("bison"), (a) => a.lastIndexOf("bison", 2), (a) => a.lastIndexOf("x"));
  compare("includes", n, (a) => a.includes(8), (a) => a.includes(7));
  compare("forEach", words, (a) => {
    const all = [];
    a.forEach((x, i) => all.push(i + x));
    return all;
  });
  compare("map", n, (a) => a.map((x, i) => x * i), (a) => a.map(String));
  compare("filter", n, (a) => a.filter((x, i) => (x + i) % 2));
  compare("reduce", n, (a) => a.reduce((x, y) => x - y), (a) => a.reduce((x, y) => x + y, "s"), (a) => a.reduceRight((x, y) => x - y));
  compare("some and every", n, (a) => a.some((x) => x > 100), (a) => a.every((x) => x > 5), (a) => a.every((x) => x > 0));
  compare("find", n, (a) => a.find((x) => x > 10), (a) => a.findIndex((x) => x > 10), (a) => a.find((x) => x > 999));
  compare("entries keys values", n, (a) => [...a.entries()], (a) => [...a.keys()], (a) => [...a.values()]);
  compare("push and pop", n, (a) => a.push(1), (a) => a.push(1, 2), (a) => a.push(), (a) => a.pop());
  compare("pop of nothing", [], (a) => a.pop(), (a) => a.shift());
  compare("shift and unshift", n, (a) => a.shift(), (a) => a.unshift(1), (a) => a.unshift(1, 2, 3));
  compare("reverse", n, (a) => a.reverse());
  compare("sort", n, (a) => a.sort(), (a) => a.sort((x, y) => x - y));
  compare("sort of words", ["80", "9", "700", 40, 1], (a) => a.sort(), (a) => a.sort((x, y) => x - y));
  compare("splice", words, (a) => a.splice(2, 0, "drum"), (a) => a.splice(3, 1), (a) => a.splice(0, 2, "p", "q", "r"),
    (a) => a.splice(-2, 1), (a) => a.splice(2), (a) => a.splice());
  compare("copyWithin", n, (a) => a.copyWithin(-2), (a) => a.copyWithin(0, 3), (a) => a.copyWithin(0, 3, 4), (a) => a.copyWithin(-2, -3, -1));
  compare("fill", n, (a) => a.fill(0, 2, 4), (a) => a.fill(5, 1), (a) => a.fill(6));
  compare("concat", n, (a) => a.concat([1], 2));
  compare("assignment", n, (a) => (a[1] = 9), (a) => (a[0] = "x"));
  compare("spread", n, (a) => [...a], (a) => Math.max(...a), (a) => Array.from(a, (x) => x + 1));
  compare("destructuring", n, ([a, , b, ...c]) => [a, b, c.length]);
  return cases;
})()

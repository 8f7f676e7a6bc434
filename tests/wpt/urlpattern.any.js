// Runs the data that the tests of URLPattern are made of. The data are theirs; this is ours, after what the data say of themselves.
"use strict";

const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];
/** What is more special than a component: when a pattern names none of it, the component may be anything. */
const BEFORE = {
  protocol: [],
  hostname: ["protocol"],
  port: ["protocol", "hostname"],
  username: [],
  password: [],
  pathname: ["protocol", "hostname", "port"],
  search: ["protocol", "hostname", "port", "pathname"],
  hash: ["protocol", "hostname", "port", "pathname", "search"],
};

/** What a component of the pattern must read like when the data do not say it. */
function inherited(component, { pattern: [first, second], exactly_empty_components: empty = [] }) {
  if (empty.includes(component)) return "";
  const init = typeof first === "object" ? first : {};
  if (init[component]) return init[component];
  if (BEFORE[component].some(earlier => earlier in init)) return "*";
  const base = init.baseURL ?? (typeof second === "string" ? second : undefined);
  if (base === undefined || component === "username" || component === "password") return "*";
  const value = new URL(base)[component];
  return { protocol: () => value.slice(0, -1), search: () => value.slice(1), hash: () => value.slice(1) }[component]?.() ?? value;
}

function check(entry) {
  if (entry.expected_obj === "error") {
    assert_throws_js(TypeError, () => new URLPattern(...entry.pattern));
    return;
  }
  const pattern = new URLPattern(...entry.pattern);
  for (const component of COMPONENTS) {
    assert_equals(pattern[component], entry.expected_obj?.[component] ?? inherited(component, entry), component);
  }
  const { inputs = [], expected_match: expected, exactly_empty_components: empty = [] } = entry;
  if (expected === "error") {
    assert_throws_js(TypeError, () => pattern.test(...inputs));
    assert_throws_js(TypeError, () => pattern.exec(...inputs));
    return;
  }
  assert_equals(pattern.test(...inputs), Boolean(expected), "test()");
  const found = pattern.exec(...inputs);
  if (!expected) {
    assert_equals(found, null, "exec()");
    return;
  }
  assert_object_equals(found.inputs, expected.inputs ?? inputs, "inputs");
  for (const component of COMPONENTS) {
    const { input, groups } = expected[component] ?? { input: "", groups: empty.includes(component) ? {} : { 0: "" } };
    assert_equals(found[component].input, input, `input of ${component}`);
    // JSON has no undefined.
    const wanted = Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, value ?? undefined]));
    assert_object_equals(found[component].groups, wanted, `groups of ${component}`);
  }
}

promise_test(async () => {
  const response = await fetch("/urlpattern/resources/urlpatterntestdata.json");
  for (const entry of await response.json()) {
    test(() => check(entry), `Pattern: ${JSON.stringify(entry.pattern)} Inputs: ${JSON.stringify(entry.inputs)}`);
  }
}, "Loading data");

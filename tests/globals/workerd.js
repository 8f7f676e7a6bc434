import { names } from "names";

export default {
  fetch: () => Response.json(names()),
};

/** URLPattern, by the polyfill of those who wrote the standard. */
import { URLPattern } from "urlpattern-polyfill/urlpattern";
import { describe } from "./webidl";

describe(URLPattern as unknown as new () => object, "URLPattern");
export { URLPattern };

/** Any JSON value, as `JSON.parse` gives it. */
export type Json = null | boolean | number | string | Json[] | JsonObject

/** A JSON object, as `JSON.parse` gives it. */
export interface JsonObject {
  [key: string]: Json
}

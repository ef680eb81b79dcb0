// Which requests the embedded broker takes, and in which versions.

/** `min` and `max` are the versions answered, and announced. */
export const APIS = {
  Produce: { key: 0, min: 3, max: 8 },
  Fetch: { key: 1, min: 4, max: 11 },
  ListOffsets: { key: 2, min: 1, max: 5 },
  Metadata: { key: 3, min: 0, max: 8 },
  ApiVersions: { key: 18, min: 0, max: 3 },
  CreateTopics: { key: 19, min: 0, max: 4 },
  InitProducerId: { key: 22, min: 0, max: 1 },
} as const;

export type ApiName = keyof typeof APIS;

export const API_NAMES = Object.keys(APIS) as ApiName[];

/** The name of an API key, or undefined for one that is not served here. */
export function apiName(key: number): ApiName | undefined {
  return API_NAMES.find((name) => APIS[name].key === key);
}

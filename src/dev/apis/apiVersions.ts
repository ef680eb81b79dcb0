// ApiVersions: which requests are served, in which versions.
import { API_NAMES, APIS } from "../protocol/apiKeys.ts";
import { ErrorCode } from "../protocol/errorCodes.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import type { WireWriter } from "../protocol/wireWriter.ts";
import type { Api, ApiContext, Outcome } from "./api.ts";

//   ApiVersions Request v0-v2  => (empty)
//   ApiVersions Request v3     => client_software_name COMPACT_STRING, client_software_version COMPACT_STRING, TAGS
//                                 (its header is v2: TAGS behind the client id)
//   ApiVersions Response v0-v2 => error_code INT16, [api_key INT16, min INT16, max INT16], throttle_time INT32 (v1+)
//   ApiVersions Response v3    => error_code INT16, COMPACT_ARRAY [api_key, min, max, TAGS], throttle_time, TAGS
//                                 (its header is v0 all the same: the client cannot know yet what the broker speaks)

export const apiVersions: Api<null> = {
  decode(reader: WireReader, version: number): null {
    if (version >= 3) {
      reader.compactString();
      reader.compactString();
      reader.taggedFields();
    }
    return null;
  },

  targets: () => ({ topics: [], partitions: [] }),

  answer(_request: null, context: ApiContext): Outcome {
    const { out, version } = context;
    out.int16(context.error?.code ?? ErrorCode.None);
    if (version < 3) out.int32(API_NAMES.length);
    else out.uvarint(API_NAMES.length + 1);
    for (const name of API_NAMES) {
      out.int16(APIS[name].key).int16(APIS[name].min).int16(APIS[name].max);
      if (version >= 3) out.noTaggedFields();
    }
    if (version >= 1) out.int32(context.throttleTime);
    if (version >= 3) out.noTaggedFields();
    return "answered";
  },
};

/** The answer to a version that is not known, as real brokers give it: in v0, naming only ApiVersions itself. */
export function writeUnsupportedApiVersions(out: WireWriter): void {
  const { key, min, max } = APIS.ApiVersions;
  out.int16(ErrorCode.UnsupportedVersion).int32(1).int16(key).int16(min).int16(max);
}

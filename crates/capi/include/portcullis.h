/* The C API of Portcullis. Generated from `crates/capi`: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef PORTCULLIS_H
#define PORTCULLIS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Rules of all functions
 *
 * Failures: every function fails closed. A NULL pointer, text that is not UTF-8, a length above a limit and a panic in
 *   the library are denials, or errors of the functions that open a policy. `pcl_decide` returns 1, and `allowed` is 1,
 *   only if the policy allows the request.
 * Memory: arguments are borrowed until the function returns. What a function returns belongs to the library, and the
 *   caller frees it with the function that its description names, never with `free`.
 * Threads: any number of threads may use one policy at once. Decisions take no lock.
 * Forks: only a live policy has a thread. The first use in each process starts it.
 */

// The limit of a text of a request, in bytes: 16 MiB.
#define PCL_MAX_TEXT (16 << 20)

// The limit of a policy, in bytes: 256 MiB.
#define PCL_MAX_POLICY (256 << 20)

// The limit of the sources of a request.
#define PCL_MAX_SOURCES 10000

// The limit of the headers of an HTTP request.
#define PCL_MAX_HEADERS 10000

// The limit of the list `cors_origins`.
#define PCL_MAX_ORIGINS 10000

// `pcl_source.kind`: a fully qualified table, tileset or raster.
#define PCL_SOURCE_RESOURCE 0

// `pcl_source.kind`: the text of a query.
#define PCL_SOURCE_QUERY 1

// `pcl_source.kind`: the name of a named source.
#define PCL_SOURCE_NAMED_SOURCE 2

// `pcl_request.operation`: a query that the client wrote.
#define PCL_OPERATION_QUERY 0

// `pcl_request.operation`: an aggregate that the API itself builds over a source.
#define PCL_OPERATION_MODEL 1

// `pcl_decision.error`: the policy decided.
#define PCL_ERROR_NONE 0

// `pcl_decision.error`: an argument is invalid. The request is denied.
#define PCL_ERROR_ARGUMENT 1

// `pcl_decision.error`: the library failed. The request is denied.
#define PCL_ERROR_INTERNAL 2

// `pcl_options.flags`: the `Origin` header replaces a missing `Referer`.
#define PCL_ORIGIN_AS_REFERER 1

// `pcl_options.flags`: a token in the query of a URL is not understood.
#define PCL_REFUSE_QUERY_TOKENS 2

// `pcl_options.flags`: preflights pass to the upstream without a decision.
#define PCL_PASS_PREFLIGHTS 4

// `pcl_options.flags`: preflights of every origin are answered, and every page may read a denial.
#define PCL_CORS_ANY 8

// `pcl_options.flags`: a live policy opens even if its file is missing or not valid. Requests are denied with 503 until the
// file is valid.
#define PCL_OPEN_UNAVAILABLE 16

// A policy. Any number of threads may use it at once. Free it with `pcl_policy_free`.
typedef struct pcl_policy pcl_policy;

// A text of the library. Free it with `pcl_string_free`.
typedef struct pcl_string pcl_string;

// Text of `length` bytes, without a terminator. As an argument, it is borrowed until the function returns. NULL with the
// length 0 is a missing text, which differs from an empty one. NULL with another length is invalid.
typedef struct pcl_text {
  // The first byte; NULL if the text is missing.
  const char *data;
  // The number of bytes.
  size_t length;
} pcl_text;

// A source that a request reads or writes.
typedef struct pcl_source {
  // One of `PCL_SOURCE_…`.
  uint32_t kind;
  // The name or the query, as the client wrote it.
  struct pcl_text text;
} pcl_source;

// An instant.
typedef struct pcl_time {
  // Seconds since 1970-01-01T00:00:00Z, rounded down.
  int64_t seconds;
  // Nanoseconds since that second: less than 1,000,000,000.
  uint32_t nanoseconds;
} pcl_time;

// A request for a decision. Set all fields that are not used to 0.
typedef struct pcl_request {
  // `sizeof(pcl_request)`.
  size_t struct_size;
  // The secret that the client presented; missing or empty if there is none.
  struct pcl_text secret;
  // The name of the API.
  struct pcl_text api;
  // The name of the connection; may be missing under an API without sources.
  struct pcl_text connection;
  // The sources; NULL if `source_count` is 0.
  const struct pcl_source *sources;
  // The number of sources, at most `PCL_MAX_SOURCES`.
  size_t source_count;
  // The `Referer` header. A missing header differs from an empty one.
  struct pcl_text referer;
  // One of `PCL_OPERATION_…`.
  uint32_t operation;
  // The instant to decide at; NULL for the current time of the system.
  const struct pcl_time *at;
} pcl_request;

// A decision, in memory of the caller. The caller sets `struct_size` and the two buffers. The function sets the rest.
typedef struct pcl_decision {
  // `sizeof(pcl_decision)`.
  size_t struct_size;
  // Memory for the id of the token; may be NULL with the capacity 0.
  char *token_id;
  // The size of `token_id` in bytes.
  size_t token_id_capacity;
  // Memory for the index of the grant that allows each source; may be NULL with the capacity 0.
  uint32_t *grants;
  // The number of elements of `grants`.
  size_t grants_capacity;
  // 1 if the request is allowed, otherwise 0.
  int32_t allowed;
  // The HTTP status: 200 if the request is allowed.
  uint32_t status;
  // One of `PCL_ERROR_…`.
  uint32_t error;
  // The stable code of a denial, such as `token_unknown`; missing if the request is allowed. Never freed.
  struct pcl_text reason;
  // The generation of the policy that decided; 0 if none did.
  uint64_t generation;
  // The length of the token's id; 0 if the token is unknown. The id is written only if it fits.
  size_t token_id_length;
  // The number of grants. They are written only if all fit.
  size_t grant_count;
} pcl_decision;

// A header.
typedef struct pcl_header {
  // The name, in any case.
  struct pcl_text name;
  // The value.
  struct pcl_text value;
} pcl_header;

// The answer to an HTTP request, in memory of the library.
typedef struct pcl_answer {
  // 1 if the request may be forwarded. Otherwise 0: send `status`, `headers` and `body` to the client.
  int32_t allowed;
  // The HTTP status of the response; 200 if the request may be forwarded.
  uint32_t status;
  // If the request is allowed: headers to set on the forwarded request. Otherwise the headers of the response. Names are
  // in lower case.
  const struct pcl_header *headers;
  // The number of headers.
  size_t header_count;
  // Names of headers that the client sent and that the host must remove before it sets `headers`.
  const struct pcl_text *removed;
  // The number of these names.
  size_t removed_count;
  // The body of the response: JSON, or empty.
  struct pcl_text body;
  // The stable code of a denial; missing if there is none. Never freed.
  struct pcl_text reason;
  // The id of the token, for access logs; missing if the token is unknown.
  struct pcl_text token_id;
  // The generation of the policy that decided; 0 if none did.
  uint64_t generation;
} pcl_answer;

// An HTTP request, as the client sent it. Set all fields that are not used to 0.
typedef struct pcl_http_request {
  // `sizeof(pcl_http_request)`.
  size_t struct_size;
  // The method.
  struct pcl_text method;
  // Path and query, neither decoded nor normalised.
  struct pcl_text target;
  // All headers. A repeated header is an element each time.
  const struct pcl_header *headers;
  // The number of headers, at most `PCL_MAX_HEADERS`.
  size_t header_count;
  // The whole body. Empty (not NULL) if the request has no body. Missing (NULL) if the host did not read the body: a
  // request that may have one is denied then.
  struct pcl_text body;
  // The instant to decide at; NULL for the current time of the system.
  const struct pcl_time *at;
} pcl_http_request;

// Options of a policy. All zero bytes, except `struct_size`, are the defaults.
typedef struct pcl_options {
  // `sizeof(pcl_options)`.
  size_t struct_size;
  // A sum of `PCL_ORIGIN_AS_REFERER`, `PCL_REFUSE_QUERY_TOKENS`, `PCL_PASS_PREFLIGHTS`, `PCL_CORS_ANY` and
  // `PCL_OPEN_UNAVAILABLE`.
  uint32_t flags;
  // How often a live policy checks its file, in milliseconds; 0 for 1,000.
  uint32_t poll_milliseconds;
  // The table of routes as JSON; missing for the built-in one.
  struct pcl_text routes;
  // The origins whose preflights are answered, such as `https://app.example.com`; NULL if `cors_origin_count` is 0.
  const struct pcl_text *cors_origins;
  // The number of origins, at most `PCL_MAX_ORIGINS`.
  size_t cors_origin_count;
  // The limit of a body in bytes; 0 for 1 MiB.
  size_t max_body;
} pcl_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Decides `request` by `policy`, and writes the decision to `decision`.
//
// Returns 1 if the request is allowed, otherwise 0: also for an invalid argument and for a failure of the library, which
// `decision->error` distinguishes. NULL for `policy` denies with `policy_unavailable`. NULL for `decision` denies.
//
// Memory: keeps no pointer and allocates nothing, except lists of more than two sources and texts that need unquoting.
//
// Threads: any number at once, each with its own `decision`.
int32_t pcl_decide(const struct pcl_policy *policy,
                   const struct pcl_request *request,
                   struct pcl_decision *decision);

// Explains how `policy` decides `request`: the JSON of `portcullis check --explain`, with each check and near misses.
//
// For operators: an explanation exposes policy details. Do not send it to clients. It never repeats the secret.
//
// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free both with `pcl_string_free`.
// An explanation is not counted as a decision. It takes longer, and allocates.
//
// Threads: any number at once.
struct pcl_string *pcl_explain(const struct pcl_policy *policy,
                               const struct pcl_request *request,
                               struct pcl_string **error);

// Reads and decides an HTTP request, and answers as the sidecar does.
//
// Never returns NULL. For an invalid argument and for a failure of the library, the answer is a denial. NULL for `policy`
// denies with 503. Forward the request only if `allowed` is 1.
//
// Memory: the answer and all its texts are valid until `pcl_answer_free`. It keeps no pointer to the request.
//
// Threads: any number at once.
const struct pcl_answer *pcl_decide_http(const struct pcl_policy *policy,
                                         const struct pcl_http_request *request);

// Returns 1 if a decision about this request needs its body, if it has one: read the body then, and pass it to
// `pcl_decide_http`. Otherwise 0: the body may stay NULL. 1 for an invalid argument and for a failure of the library.
//
// Threads: any number at once.
int32_t pcl_needs_body(const struct pcl_policy *policy,
                       struct pcl_text method,
                       struct pcl_text target);

// Frees `answer` and its texts. NULL is ignored.
void pcl_answer_free(const struct pcl_answer *answer);

// Opens a policy from memory: a JSON document, or the bytes of a compiled policy. Copies what it needs.
//
// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free the reason with
// `pcl_string_free`. `options` may be NULL for the defaults.
//
// Threads: any number at once. Starts no thread.
struct pcl_policy *pcl_open_bytes(struct pcl_text document,
                                  const struct pcl_options *options,
                                  struct pcl_string **error);

// Opens a policy from the file at `path`: a JSON document, or a compiled policy. Later changes of the file have no
// effect: see `pcl_live_open`.
//
// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free the reason with
// `pcl_string_free`. `options` may be NULL for the defaults.
//
// Threads: any number at once. Starts no thread, and keeps no file open.
struct pcl_policy *pcl_open_file(struct pcl_text path,
                                 const struct pcl_options *options,
                                 struct pcl_string **error);

// Opens a policy, and follows its source: a thread checks it every `poll_milliseconds`. A valid version applies from the next
// decision. If a version is not valid, or the source is gone, the last good policy stays, and `pcl_last_error` returns the
// reason.
//
// `source` is the path of a file: a JSON document, or a compiled policy. If the library was built with the feature
// `registry`, it may also be the URL of a registry, such as `sqlite:/var/lib/portcullis/registry.db`.
//
// Returns NULL on failure, also if the source is not valid now, and stores the reason in `error` unless `error` is NULL.
// Free the reason with `pcl_string_free`. `options` may be NULL for the defaults. With `PCL_OPEN_UNAVAILABLE`, a source that
// is not valid now is not a failure: requests are denied with 503 until it is valid, and the reason is stored in `error`.
//
// Threads and forks: starts no thread, and keeps no file open. The first use of the policy in each process starts its
// thread, so a server may open the policy and then fork. A child continues with the policy of its parent if the source has
// not changed since it was opened. Otherwise its first use reads the source, and requests are denied with 503 while the
// source is not valid. Its generations and counters start again.
struct pcl_policy *pcl_live_open(struct pcl_text source,
                                 const struct pcl_options *options,
                                 struct pcl_string **error);

// Frees `policy`. NULL is ignored. Ends the thread of a live policy in this process, and waits for it.
//
// Answers and strings stay valid: free each of them on its own.
void pcl_policy_free(struct pcl_policy *policy);

// Returns the generation of the policy: 1 for the first one of a process, and one more for each reload. 0 if `policy` is
// NULL.
//
// Threads: any number at once.
uint64_t pcl_generation(const struct pcl_policy *policy);

// Returns why the last reload of a live policy failed; NULL if it succeeded. Free the reason with `pcl_string_free`.
//
// Threads: any number at once.
struct pcl_string *pcl_last_error(const struct pcl_policy *policy);

// Returns the counters of this process in the text format of Prometheus; NULL if `policy` is NULL. Free the text with
// `pcl_string_free`.
//
// Threads: any number at once.
struct pcl_string *pcl_metrics(const struct pcl_policy *policy);

// Reads the source of a live policy now, even if it has not changed, and returns when the new version applies.
//
// Returns 1 on success, otherwise 0. On failure the last good policy stays, and the reason is stored in `error` unless
// `error` is NULL. Free the reason with `pcl_string_free`.
//
// Threads: any number at once. Reloads wait for each other; decisions never wait.
int32_t pcl_reload(const struct pcl_policy *policy,
                   struct pcl_string **error);

// Returns the version of the library. Never freed.
struct pcl_text pcl_version(void);

// Returns the text of `string`: UTF-8 without a terminator, valid until `string` is freed. Missing if `string` is NULL.
//
// Threads: any number at once.
struct pcl_text pcl_string_text(const struct pcl_string *string);

// Frees `string`. NULL is ignored.
void pcl_string_free(struct pcl_string *string);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PORTCULLIS_H */


#ifndef PORTCULLIS_TEXT_OF
#define PORTCULLIS_TEXT_OF
/* Returns a text with the bytes of `string`, without its terminator. NULL is a missing text. */
static inline pcl_text pcl_text_of(const char *string) {
  pcl_text text = {string, string == NULL ? 0 : strlen(string)};
  return text;
}
#endif

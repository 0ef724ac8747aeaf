/* Answers one HTTP request as the sidecar does: prints the status, the headers and the body.
 *
 *   cc decide_http.c $(pkg-config --cflags --libs portcullis) -o decide_http
 *   ./decide_http policy.json GET '/v3/maps/carto_dw/table?name=carto.shared.CARTO_roads' \
 *       'Authorization: Bearer SECRET' 'Referer: https://app.example.com/'
 *
 * Exits with 0 if the request may be forwarded, 1 if it is denied and 2 for an error.
 */
#include <portcullis.h>
#include <stdio.h>

enum { MAX_HEADERS = 16 };

static void print(const char *before, pcl_text text, const char *after) {
  printf("%s%.*s%s", before, (int)text.length, text.length == 0 ? "" : text.data, after);
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 4 + MAX_HEADERS) {
    fprintf(stderr, "usage: decide_http POLICY METHOD TARGET [HEADER]...\n");
    return 2;
  }
  pcl_header headers[MAX_HEADERS];
  size_t header_count = 0;
  for (int i = 4; i < argc; i++) {
    char *colon = strchr(argv[i], ':');
    if (colon == NULL) {
      fprintf(stderr, "expected `NAME: VALUE`, found `%s`\n", argv[i]);
      return 2;
    }
    pcl_header header = {{argv[i], (size_t)(colon - argv[i])}, pcl_text_of(colon + 1 + strspn(colon + 1, " "))};
    headers[header_count++] = header;
  }

  pcl_string *error = NULL;
  pcl_policy *policy = pcl_live_open(pcl_text_of(argv[1]), NULL, &error);
  if (policy == NULL) {
    print("", pcl_string_text(error), "\n");
    pcl_string_free(error);
    return 2;
  }

  pcl_http_request request = {
      .struct_size = sizeof request,
      .method = pcl_text_of(argv[2]),
      .target = pcl_text_of(argv[3]),
      .headers = headers,
      .header_count = header_count,
      .body = pcl_text_of(""),
  };
  const pcl_answer *answer = pcl_decide_http(policy, &request);
  int allowed = answer->allowed == 1;
  printf("%u\n", answer->status);
  for (size_t i = 0; i < answer->removed_count; i++) print("remove ", answer->removed[i], "\n");
  for (size_t i = 0; i < answer->header_count; i++) {
    print(allowed ? "set " : "", answer->headers[i].name, ": ");
    print("", answer->headers[i].value, "\n");
  }
  print("\n", answer->body, "\n");
  pcl_answer_free(answer);
  pcl_policy_free(policy);
  return allowed ? 0 : 1;
}

/* Decides one request: prints `allow` and the token, or `deny` and the reason.
 *
 *   cc decide.c $(pkg-config --cflags --libs portcullis) -o decide
 *   ./decide policy.json SECRET maps carto_dw carto.shared.CARTO_roads https://app.example.com/
 *
 * Exits with 0 for allow, 1 for deny and 2 for an error.
 */
#include <portcullis.h>
#include <stdio.h>

int main(int argc, char **argv) {
  if (argc < 6 || argc > 7) {
    fprintf(stderr, "usage: decide POLICY SECRET API CONNECTION RESOURCE [REFERER]\n");
    return 2;
  }
  pcl_string *error = NULL;
  pcl_policy *policy = pcl_open_file(pcl_text_of(argv[1]), NULL, &error);
  if (policy == NULL) {
    pcl_text why = pcl_string_text(error);
    fprintf(stderr, "%.*s\n", (int)why.length, why.data);
    pcl_string_free(error);
    return 2;
  }

  pcl_source source = {.kind = PCL_SOURCE_RESOURCE, .text = pcl_text_of(argv[5])};
  pcl_request request = {
      .struct_size = sizeof request,
      .secret = pcl_text_of(argv[2]),
      .api = pcl_text_of(argv[3]),
      .connection = pcl_text_of(argv[4]),
      .sources = &source,
      .source_count = 1,
      .referer = pcl_text_of(argc == 7 ? argv[6] : NULL),
  };
  char token_id[256];
  pcl_decision decision = {
      .struct_size = sizeof decision,
      .token_id = token_id,
      .token_id_capacity = sizeof token_id,
  };
  int allowed = pcl_decide(policy, &request, &decision) == 1;
  if (allowed && decision.token_id_length <= sizeof token_id) {
    printf("allow %.*s\n", (int)decision.token_id_length, token_id);
  } else {
    printf("deny %.*s %u\n", (int)decision.reason.length, decision.reason.data, decision.status);
  }
  pcl_policy_free(policy);
  return allowed ? 0 : 1;
}

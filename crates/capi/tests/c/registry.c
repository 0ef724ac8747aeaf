/* A server that opens a live policy of a registry, and forks: `registry SOURCE SECRET`. Prints a line when the parent and the
 * child allow the secret. Exits with 0 when both deny it, and then keep the last policy without the registry. */
#include <portcullis.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int allows(const pcl_policy *policy, const char *secret) {
  pcl_request request = {.struct_size = sizeof request, .secret = pcl_text_of(secret), .api = pcl_text_of("lds")};
  pcl_decision decision = {.struct_size = sizeof decision};
  return pcl_decide(policy, &request, &decision);
}

static int becomes(const pcl_policy *policy, const char *secret, int allowed) {
  for (int i = 0; i < 3000; i++) {
    if (allows(policy, secret) == allowed) return 1;
    usleep(10000);
  }
  return 0;
}

/* Waits until a reload fails, and checks that `kept` is still allowed. */
static int keeps(const pcl_policy *policy, const char *kept) {
  for (int i = 0; i < 3000; i++) {
    pcl_string *error = pcl_last_error(policy);
    int failed = error != NULL;
    pcl_string_free(error);
    if (failed) return allows(policy, kept);
    usleep(10000);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 4) return 10;
  const char *removed = argv[2], *kept = argv[3];
  pcl_options options = {.struct_size = sizeof options, .poll_milliseconds = 10};
  pcl_string *error = NULL;
  pcl_policy *policy = pcl_live_open(pcl_text_of(argv[1]), &options, &error);
  if (policy == NULL) {
    pcl_text why = pcl_string_text(error);
    fprintf(stderr, "%.*s\n", (int)why.length, why.data);
    return 11;
  }
  pid_t child = fork();
  int base = child == 0 ? 30 : 20;
  if (!allows(policy, removed) || !allows(policy, kept)) return base;
  if (pcl_generation(policy) != 1) return base + 1;
  puts("allowed");
  fflush(stdout);
  if (!becomes(policy, removed, 0)) return base + 2;
  if (!allows(policy, kept)) return base + 3;
  puts("denied");
  fflush(stdout);
  if (!keeps(policy, kept)) return base + 4;
  if (child != 0) {
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 12;
  }
  pcl_policy_free(policy);
  return 0;
}

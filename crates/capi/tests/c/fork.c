/* A server that opens a live policy, uses it, and forks. The child has no thread of its parent: it must start its own, and
 * follow the file. Exits with 0 if it does. */
#include <portcullis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int allows(const pcl_policy *policy, const char *secret) {
  pcl_request request = {.struct_size = sizeof request, .secret = pcl_text_of(secret), .api = pcl_text_of("lds")};
  pcl_decision decision = {.struct_size = sizeof decision};
  return pcl_decide(policy, &request, &decision);
}

static void replace(const char *path, const char *secret) {
  char new[4096];
  snprintf(new, sizeof new, "%s.new", path);
  FILE *file = fopen(new, "w");
  if (file == NULL) exit(10);
  fprintf(file, "[{\"id\": \"a\", \"token\": \"%s\", \"allowed_apis\": [\"lds\"]}]", secret);
  if (fclose(file) != 0 || rename(new, path) != 0) exit(11);
}

static int follows(const pcl_policy *policy, const char *secret) {
  for (int i = 0; i < 6000; i++) {
    if (allows(policy, secret)) return 1;
    usleep(10000);
  }
  return 0;
}

/* Makes `path` a symbolic link to `target` at once, as a deployment or its rollback does. */
static void point(const char *path, const char *target) {
  char new[4300];
  snprintf(new, sizeof new, "%s.link", path);
  if (symlink(target, new) != 0 || rename(new, path) != 0) exit(70);
}

/* The file returns to the version that was opened, but the policy of the parent is a later one: a child must not take it for
 * the version of the file. `unread`: the parent is a child that could not read the version that was opened. */
static int rolls_back(const char *path, int unread) {
  char link[4200], releases[2][4200];
  snprintf(link, sizeof link, "%s.current.%d", path, unread);
  for (int i = 0; i < 2; i++) {
    snprintf(releases[i], sizeof releases[i], "%s.release.%d", path, i);
    replace(releases[i], i ? "second" : "first");
  }
  point(link, releases[0]);
  pcl_options options = {.struct_size = sizeof options, .poll_milliseconds = 1000};
  pcl_policy *policy = pcl_live_open(pcl_text_of(link), &options, NULL);
  if (policy == NULL) return 71;
  pid_t parent = 0;
  if (unread) {
    if (unlink(link) != 0) return 72;
    parent = fork();
    if (parent != 0) {
      int status;
      if (waitpid(parent, &status, 0) != parent) return 73;
      pcl_policy_free(policy);
      return WIFEXITED(status) ? WEXITSTATUS(status) : 74;
    }
  }
  if (allows(policy, "first") == unread) return 75;
  point(link, releases[1]);
  if (!follows(policy, "second")) return 76;
  point(link, releases[0]);
  /* Before the next check of the parent. */
  pid_t child = fork();
  if (child == 0) {
    if (allows(policy, "second")) _exit(77);
    _exit(allows(policy, "first") ? 0 : 78);
  }
  int status;
  if (waitpid(child, &status, 0) != child) return 79;
  if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 80;
  pcl_policy_free(policy);
  if (unread) _exit(0);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return 12;
  const char *path = argv[1];
  replace(path, "first");
  pcl_options options = {.struct_size = sizeof options, .poll_milliseconds = 10};
  pcl_policy *policy = pcl_live_open(pcl_text_of(path), &options, NULL);
  if (policy == NULL) return 13;

  /* A worker whose master never used the policy, and one whose master did. */
  for (int used = 0; used < 2; used++) {
    if (used && !follows(policy, "first")) return 14;
    int ready[2];
    if (pipe(ready) != 0) return 15;
    pid_t child = fork();
    if (child == 0) {
      if (!allows(policy, "first") || pcl_generation(policy) != 1) _exit(20);
      if (write(ready[1], "x", 1) != 1) _exit(21);
      if (!follows(policy, "second") || allows(policy, "first")) _exit(22);
      /* A grandchild, too. */
      pid_t grandchild = fork();
      if (grandchild == 0) {
        if (!allows(policy, "second")) _exit(30);
        replace(path, "third");
        _exit(follows(policy, "third") ? 0 : 31);
      }
      int status;
      if (waitpid(grandchild, &status, 0) != grandchild || status != 0) _exit(23);
      if (!follows(policy, "third")) _exit(24);
      pcl_policy_free(policy);
      _exit(0);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) return 16;
    replace(path, "second");
    int status;
    if (waitpid(child, &status, 0) != child) return 17;
    if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 18;
    close(ready[0]);
    close(ready[1]);
    if (used && !follows(policy, "third")) return 19;
    replace(path, "first");
  }
  pcl_policy_free(policy);

  /* A worker that may not read the folder of the file yet denies, and follows the file as soon as it may. */
  char folder[4096], hidden[4200];
  snprintf(folder, sizeof folder, "%s.folder", path);
  snprintf(hidden, sizeof hidden, "%s/policy.json", folder);
  if (mkdir(folder, 0755) != 0) return 60;
  replace(hidden, "first");
  policy = pcl_live_open(pcl_text_of(hidden), &options, NULL);
  if (policy == NULL) return 61;
  char away[4200];
  snprintf(away, sizeof away, "%s.away", folder);
  if (rename(folder, away) != 0) return 62;
  pid_t early = fork();
  if (early == 0) {
    if (allows(policy, "first") || pcl_generation(policy) != 0) _exit(63);
    /* The file itself, whose stamp is still that of the version that the parent opened, is there again. */
    if (rename(away, folder) != 0) _exit(64);
    _exit(follows(policy, "first") ? 0 : 65);
  }
  int ended;
  if (waitpid(early, &ended, 0) != early) return 66;
  if (ended != 0) return WIFEXITED(ended) ? WEXITSTATUS(ended) : 67;
  pcl_policy_free(policy);

  /* A worker that replaces another one: what was revoked since the master opened the policy is not allowed again. */
  for (int damaged = 0; damaged < 2; damaged++) {
    replace(path, "first");
    policy = pcl_live_open(pcl_text_of(path), &options, NULL);
    if (policy == NULL) return 40;
    replace(path, damaged ? "\"" : "second");
    pid_t child = fork();
    if (child == 0) {
      if (allows(policy, "first")) _exit(50);
      if (!damaged && (!allows(policy, "second") || pcl_generation(policy) != 1)) _exit(51);
      if (damaged && (pcl_generation(policy) != 0 || pcl_last_error(policy) == NULL)) _exit(52);
      replace(path, "third");
      _exit(follows(policy, "third") ? 0 : 53);
    }
    int status;
    if (waitpid(child, &status, 0) != child) return 41;
    if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 42;
    pcl_policy_free(policy);
  }

  for (int unread = 0; unread < 2; unread++) {
    int failed = rolls_back(path, unread);
    if (failed) return failed;
  }
  return 0;
}

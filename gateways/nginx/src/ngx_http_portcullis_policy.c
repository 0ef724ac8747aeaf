/* Policies: opened in the master process, followed by each worker. */

#include "ngx_http_portcullis.h"

/* How often a worker logs what happened to its policies, and publishes its counters. */
#define NGX_HTTP_PORTCULLIS_REPORT 1000

static ngx_uint_t ngx_http_portcullis_is_same(ngx_http_portcullis_options_t *a, ngx_http_portcullis_options_t *b);
static ngx_int_t ngx_http_portcullis_label(ngx_conf_t *cf, ngx_http_portcullis_main_conf_t *main,
    ngx_http_portcullis_policy_t *policy);
static void ngx_http_portcullis_free(void *data);
static void ngx_http_portcullis_end_timer(void *data);
static void ngx_http_portcullis_report(ngx_event_t *event);
static void ngx_http_portcullis_log_change(ngx_http_portcullis_policy_t *policy, ngx_log_t *log);


/* Returns the policy with these options, opened once for all locations. Logs an error and returns NULL on failure. */
ngx_http_portcullis_policy_t *
ngx_http_portcullis_open(ngx_conf_t *cf, ngx_http_portcullis_options_t *options, ngx_http_portcullis_position_t *at)
{
    ngx_uint_t                        i, is_start;
    pcl_string                       *error;
    pcl_options                       how;
    ngx_pool_cleanup_t               *cln;
    ngx_http_portcullis_policy_t     *policy, **opened;
    ngx_http_portcullis_main_conf_t  *main;

    main = ngx_http_conf_get_module_main_conf(cf, ngx_http_portcullis_module);
    opened = main->opened.elts;
    for (i = 0; i < main->opened.nelts; i++) {
        if (ngx_http_portcullis_is_same(&opened[i]->options, options)) {
            return opened[i];
        }
    }

    policy = ngx_pcalloc(cf->pool, sizeof(ngx_http_portcullis_policy_t));
    opened = ngx_array_push(&main->opened);
    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (policy == NULL || opened == NULL || cln == NULL) {
        return NULL;
    }
    *opened = policy;
    policy->options = *options;
    if (ngx_http_portcullis_label(cf, main, policy) != NGX_OK) {
        return NULL;
    }

    /* `nginx -s …` only sends a signal. */
    if (ngx_process == NGX_PROCESS_SIGNALLER) {
        return policy;
    }

    ngx_memzero(&how, sizeof(how));
    how.struct_size = sizeof(how);
    how.flags = options->flags;
    how.poll_milliseconds = (uint32_t) options->poll;
    how.cors_origins = options->origins;
    how.cors_origin_count = options->origin_count;
    how.max_body = options->max_body;
    if (options->routes.data != NULL) {
        how.routes.data = (char *) options->routes.data;
        how.routes.length = options->routes.len;
    }

    /*
     * A first start opens the gateway closed: it denies until the file is valid. A test reports the problem, and a reload
     * keeps the workers with the last good policy.
     */
    is_start = ngx_is_init_cycle(cf->cycle->old_cycle) && !ngx_test_config;
    if (is_start) {
        how.flags |= PCL_OPEN_UNAVAILABLE;
    }

    error = NULL;
    policy->handle = pcl_live_open(pcl_text_of((char *) options->path.data), &how, &error);
    if (error != NULL) {
        ngx_http_portcullis_log_lines(policy->handle == NULL ? NGX_LOG_EMERG : NGX_LOG_ALERT, cf->log,
                                      pcl_string_text(error), at);
        pcl_string_free(error);
    }
    if (policy->handle == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_portcullis_free;
    cln->data = policy->handle;

    return policy;
}


static void
ngx_http_portcullis_free(void *data)
{
    pcl_policy_free(data);
}


static ngx_uint_t
ngx_http_portcullis_is_same(ngx_http_portcullis_options_t *a, ngx_http_portcullis_options_t *b)
{
    ngx_uint_t i;

    if (a->path.len != b->path.len || ngx_strncmp(a->path.data, b->path.data, a->path.len) != 0
        || a->routes.len != b->routes.len || (a->routes.data == NULL) != (b->routes.data == NULL)
        || (a->routes.len > 0 && ngx_memcmp(a->routes.data, b->routes.data, a->routes.len) != 0)
        || a->flags != b->flags || a->max_body != b->max_body || a->poll != b->poll || a->origin_count != b->origin_count)
    {
        return 0;
    }

    for (i = 0; i < a->origin_count; i++) {
        if (a->origins[i].length != b->origins[i].length
            || ngx_memcmp(a->origins[i].data, b->origins[i].data, a->origins[i].length) != 0)
        {
            return 0;
        }
    }

    return 1;
}


/* Names a policy in metrics: its path, and a number if several policies differ only in options. */
static ngx_int_t
ngx_http_portcullis_label(ngx_conf_t *cf, ngx_http_portcullis_main_conf_t *main, ngx_http_portcullis_policy_t *policy)
{
    u_char                        *p;
    size_t                         i;
    ngx_str_t                     *path;
    ngx_uint_t                     n;
    ngx_http_portcullis_policy_t **opened;

    path = &policy->options.path;
    p = ngx_pnalloc(cf->pool, 2 * path->len + sizeof("#") - 1 + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }
    policy->label.data = p;

    for (i = 0; i < path->len; i++) {
        if (path->data[i] == '"' || path->data[i] == '\\' || path->data[i] == '\n') {
            *p++ = '\\';
        }
        *p++ = path->data[i] == '\n' ? 'n' : path->data[i];
    }

    n = 0;
    opened = main->opened.elts;
    for (i = 0; i < main->opened.nelts; i++) {
        if (opened[i]->options.path.len == path->len && ngx_strncmp(opened[i]->options.path.data, path->data, path->len) == 0) {
            n++;
        }
    }
    if (n > 1) {
        p = ngx_sprintf(p, "#%ui", n);
    }

    policy->label.len = p - policy->label.data;
    return NGX_OK;
}


/* Whether a source is the URL of a registry, and not the path of a file. */
ngx_uint_t
ngx_http_portcullis_is_registry(ngx_str_t *source)
{
    return ngx_strncmp(source->data, "sqlite:", 7) == 0 || ngx_strncmp(source->data, "postgres:", 9) == 0
        || ngx_strncmp(source->data, "postgresql:", 11) == 0;
}


/* Logs each line of a diagnostic on a line of its own. */
void
ngx_http_portcullis_log_lines(ngx_uint_t level, ngx_log_t *log, pcl_text text, ngx_http_portcullis_position_t *at)
{
    ngx_str_t   line;
    const char *end, *next;

    if (log->log_level < level) {
        return;
    }

    for (end = text.data + text.length; text.data < end; text.data = next + 1) {
        next = memchr(text.data, '\n', end - text.data);
        if (next == NULL) {
            next = end;
        }
        line.data = (u_char *) text.data;
        line.len = next - text.data;
        if (line.len == 0) {
            continue;
        }
        if (at != NULL && next == end) {
            ngx_log_error(level, log, 0, "portcullis: %V in %V:%ui", &line, &at->file, at->line);
        } else {
            ngx_log_error(level, log, 0, "portcullis: %V", &line);
        }
    }
}


/* Starts the threads that follow the files, and the timer of the reports, in a worker. */
ngx_int_t
ngx_http_portcullis_start(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_pool_cleanup_t               *cln;
    ngx_http_portcullis_policy_t     *policy;
    ngx_http_portcullis_main_conf_t  *main;

    main = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_portcullis_module);
    if (main == NULL || main->policies.count == 0
        || (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    for (i = 0; i < main->policies.count; i++) {
        policy = main->policies.list[i];
        policy->logged_generation = pcl_generation(policy->handle);
        if (!ngx_http_portcullis_is_registry(&policy->options.path)
            && access((char *) policy->options.path.data, R_OK) == -1)
        {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "portcullis: a worker cannot read \"%V\", so that it will not see changes", &policy->options.path);
        }
    }

    cln = ngx_pool_cleanup_add(cycle->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }
    cln->handler = ngx_http_portcullis_end_timer;
    cln->data = &main->timer;

    main->timer_connection.fd = (ngx_socket_t) -1;
    main->timer_connection.log = cycle->log;
    main->timer.data = &main->timer_connection;
    main->timer.handler = ngx_http_portcullis_report;
    main->timer.log = cycle->log;
    /* The timer does not keep a worker alive that shuts down. */
    main->timer.cancelable = 1;
    main->timer_connection.data = main;
    ngx_add_timer(&main->timer, NGX_HTTP_PORTCULLIS_REPORT);

    return NGX_OK;
}


static void
ngx_http_portcullis_end_timer(void *data)
{
    ngx_event_t *timer = data;

    if (timer->timer_set) {
        ngx_del_timer(timer);
    }
}


static void
ngx_http_portcullis_report(ngx_event_t *event)
{
    ngx_uint_t                       i;
    ngx_connection_t                *c;
    ngx_http_portcullis_main_conf_t *main;

    c = event->data;
    main = c->data;

    /* Without a master process, a reload replaces the configuration in this process, and its shared memory. */
    if (main != ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_portcullis_module)) {
        return;
    }

    for (i = 0; i < main->policies.count; i++) {
        ngx_http_portcullis_log_change(main->policies.list[i], event->log);
    }
    ngx_http_portcullis_publish(&main->policies);

    if (!ngx_exiting) {
        ngx_add_timer(event, NGX_HTTP_PORTCULLIS_REPORT);
    }
}


static void
ngx_http_portcullis_log_change(ngx_http_portcullis_policy_t *policy, ngx_log_t *log)
{
    pcl_text    text;
    uint32_t    sum;
    uint64_t    generation;
    pcl_string *error;

    generation = pcl_generation(policy->handle);
    if (generation != policy->logged_generation) {
        policy->logged_generation = generation;
        ngx_log_error(NGX_LOG_NOTICE, log, 0, "portcullis: generation %uL of \"%V\" is active", generation,
                      &policy->options.path);
    }

    error = pcl_last_error(policy->handle);
    if (error == NULL) {
        policy->logged_error = 0;
        return;
    }

    text = pcl_string_text(error);
    sum = ngx_crc32_long((u_char *) text.data, text.length);
    if (sum != policy->logged_error) {
        policy->logged_error = sum;
        ngx_log_error(NGX_LOG_ERR, log, 0, "portcullis: %s of \"%V\"",
                      generation == 0 ? "requests are denied without a valid version" : "the last good version stays active",
                      &policy->options.path);
        ngx_http_portcullis_log_lines(NGX_LOG_ERR, log, text, NULL);
    }
    pcl_string_free(error);
}

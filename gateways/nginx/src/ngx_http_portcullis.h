/* The parts of the nginx module. Every function that ends in a response fails closed. */

#ifndef NGX_HTTP_PORTCULLIS_H
#define NGX_HTTP_PORTCULLIS_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <portcullis.h>

/* Where a directive is, for errors that nginx finds after the file was read. */
typedef struct {
    ngx_str_t  file;
    ngx_uint_t line;
} ngx_http_portcullis_position_t;

/* The options of a policy. Locations with equal options share one policy. */
typedef struct {
    ngx_str_t  path;
    ngx_str_t  routes;
    pcl_text  *origins;
    ngx_uint_t origin_count;
    uint32_t   flags;
    size_t     max_body;
    ngx_msec_t poll;
} ngx_http_portcullis_options_t;

/* An open policy. It is opened in the master process, and each worker follows the file by itself. */
typedef struct {
    ngx_http_portcullis_options_t options;
    pcl_policy                   *handle;
    /* The value of the label `policy` of its metrics. */
    ngx_str_t                     label;
    /* What this worker has logged last. */
    uint64_t                      logged_generation;
    uint32_t                      logged_error;
} ngx_http_portcullis_policy_t;

typedef struct {
    ngx_http_portcullis_policy_t **list;
    ngx_uint_t                     count;
    /* The texts of all workers; NULL if there is no policy. */
    ngx_shm_zone_t                *metrics;
} ngx_http_portcullis_policies_t;

typedef struct {
    ngx_array_t                    opened;
    ngx_http_portcullis_policies_t policies;
    ngx_event_t                    timer;
    /* The connection that the timer needs for its log. */
    ngx_connection_t               timer_connection;
} ngx_http_portcullis_main_conf_t;

typedef struct {
    ngx_flag_t                     enabled;
    ngx_http_portcullis_position_t enabled_at;
    ngx_str_t                      path;
    ngx_http_portcullis_position_t path_at;
    ngx_str_t                      shadow_path;
    ngx_http_portcullis_position_t shadow_at;
    ngx_str_t                      routes;
    ngx_array_t                   *origins;
    ngx_flag_t                     origin_as_referer;
    ngx_flag_t                     refuse_query_tokens;
    ngx_flag_t                     pass_preflights;
    size_t                         max_body;
    ngx_msec_t                     poll;

    ngx_http_portcullis_policy_t  *policy;
    /* NULL if no second policy also decides. */
    ngx_http_portcullis_policy_t  *shadow;
} ngx_http_portcullis_loc_conf_t;

/* The decision on a request. It outlives internal redirects, which clear the contexts of modules. */
typedef struct {
    ngx_http_request_t           *request;
    ngx_http_portcullis_policy_t *policy;
    ngx_str_t                     method;
    ngx_str_t                     target;
    pcl_text                      body;

    /* As the policy has it, without escapes. */
    ngx_str_t                     token_id;
    ngx_str_t                     reason;
    ngx_str_t                     shadow;
    uint64_t                      generation;

    /* The policy allowed `method` and `target`. */
    unsigned                      is_allowed:1;
    /* A denial was sent. */
    unsigned                      is_answered:1;
    /* A denial replaced another response, whose body is discarded. */
    unsigned                      is_replaced:1;
} ngx_http_portcullis_ctx_t;

extern ngx_module_t ngx_http_portcullis_module;

/* policy.c: policies and their files. */
ngx_http_portcullis_policy_t *ngx_http_portcullis_open(ngx_conf_t *cf, ngx_http_portcullis_options_t *options,
    ngx_http_portcullis_position_t *at);
ngx_int_t ngx_http_portcullis_start(ngx_cycle_t *cycle);
void ngx_http_portcullis_log_lines(ngx_uint_t level, ngx_log_t *log, pcl_text text, ngx_http_portcullis_position_t *at);
ngx_uint_t ngx_http_portcullis_is_registry(ngx_str_t *source);

/* gate.c: the phases and filters that let a request pass. */
ngx_int_t ngx_http_portcullis_gate(ngx_http_request_t *r);
void ngx_http_portcullis_init_filters(void);
ngx_http_portcullis_ctx_t *ngx_http_portcullis_ctx(ngx_http_request_t *r);

/* request.c: what is decided. */
ngx_int_t ngx_http_portcullis_target(ngx_http_request_t *r, ngx_str_t *target);
ngx_int_t ngx_http_portcullis_read_body(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target);
pcl_text ngx_http_portcullis_body(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx);
const pcl_answer *ngx_http_portcullis_decide(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, ngx_str_t *target,
    pcl_text body);

/* answer.c: what is sent to the client or to the upstream. */
ngx_int_t ngx_http_portcullis_set_headers(ngx_http_request_t *r, const pcl_answer *answer);
ngx_int_t ngx_http_portcullis_prepare(ngx_http_request_t *r, const pcl_answer *answer, ngx_chain_t *out);
ngx_int_t ngx_http_portcullis_send(ngx_http_request_t *r, const pcl_answer *answer);

/* variables.c: `$portcullis_…`. */
ngx_int_t ngx_http_portcullis_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_portcullis_keep(ngx_http_request_t *r, ngx_http_portcullis_ctx_t *ctx, const pcl_answer *answer);

/* metrics.c: the counters of all workers. */
char *ngx_http_portcullis_metrics(ngx_conf_t *cf, ngx_command_t *command, void *conf);
ngx_int_t ngx_http_portcullis_add_metrics(ngx_conf_t *cf, ngx_http_portcullis_policies_t *policies);
void ngx_http_portcullis_publish(ngx_http_portcullis_policies_t *policies);

#endif

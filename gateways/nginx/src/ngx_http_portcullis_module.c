/* The directives, and where the module enters nginx. */

#include "ngx_http_portcullis.h"

static char *ngx_http_portcullis_flag(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_portcullis_file(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_portcullis_full_url(ngx_conf_t *cf, ngx_str_t *url);
static char *ngx_http_portcullis_routes(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_portcullis_origins(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static ngx_int_t ngx_http_portcullis_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_portcullis_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_portcullis_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_portcullis_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_portcullis_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_int_t ngx_http_portcullis_init_module(ngx_cycle_t *cycle);

#define NGX_HTTP_PORTCULLIS_ANYWHERE (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t ngx_http_portcullis_commands[] = {

    { ngx_string("portcullis"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_FLAG,
      ngx_http_portcullis_flag,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, enabled),
      NULL },

    { ngx_string("portcullis_policy"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_portcullis_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, path),
      NULL },

    { ngx_string("portcullis_shadow"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_portcullis_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, shadow_path),
      NULL },

    { ngx_string("portcullis_routes"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_TAKE1,
      ngx_http_portcullis_routes,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("portcullis_cors_origins"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_1MORE,
      ngx_http_portcullis_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("portcullis_origin_as_referer"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, origin_as_referer),
      NULL },

    { ngx_string("portcullis_refuse_query_tokens"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, refuse_query_tokens),
      NULL },

    { ngx_string("portcullis_pass_preflights"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, pass_preflights),
      NULL },

    { ngx_string("portcullis_max_body_size"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, max_body),
      NULL },

    { ngx_string("portcullis_poll_interval"),
      NGX_HTTP_PORTCULLIS_ANYWHERE|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_portcullis_loc_conf_t, poll),
      NULL },

    { ngx_string("portcullis_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_portcullis_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t ngx_http_portcullis_module_ctx = {
    ngx_http_portcullis_preconfiguration,
    ngx_http_portcullis_postconfiguration,
    ngx_http_portcullis_create_main_conf,
    NULL,
    NULL,
    NULL,
    ngx_http_portcullis_create_loc_conf,
    ngx_http_portcullis_merge_loc_conf
};


ngx_module_t ngx_http_portcullis_module = {
    NGX_MODULE_V1,
    &ngx_http_portcullis_module_ctx,
    ngx_http_portcullis_commands,
    NGX_HTTP_MODULE,
    NULL,
    ngx_http_portcullis_init_module,
    ngx_http_portcullis_start,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};


static void
ngx_http_portcullis_remember(ngx_conf_t *cf, ngx_http_portcullis_position_t *position)
{
    position->file = cf->conf_file->file.name;
    position->line = cf->conf_file->line;
}


static char *
ngx_http_portcullis_flag(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    ngx_http_portcullis_loc_conf_t *own = conf;

    ngx_http_portcullis_remember(cf, &own->enabled_at);
    return ngx_conf_set_flag_slot(cf, command, conf);
}


/* Keeps the source of a policy: a file, relative to the folder of nginx.conf, or the URL of a registry. */
static char *
ngx_http_portcullis_file(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    ngx_str_t                      *value, *path;
    ngx_http_portcullis_loc_conf_t *own = conf;

    path = (ngx_str_t *) ((u_char *) conf + command->offset);
    if (path->data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    if (value[1].len == 0) {
        return "expects the path of a file, found an empty one";
    }
    *path = value[1];
    ngx_http_portcullis_remember(cf, path == &own->path ? &own->path_at : &own->shadow_at);

    if (ngx_http_portcullis_is_registry(path)) {
        return ngx_http_portcullis_full_url(cf, path);
    }
    return ngx_conf_full_name(cf->cycle, path, 1) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Makes the file of `sqlite:registry.db` relative to the folder of nginx.conf. Other URLs stay as they are. */
static char *
ngx_http_portcullis_full_url(ngx_conf_t *cf, ngx_str_t *url)
{
    u_char    *p;
    ngx_str_t  file;

    if (ngx_strncmp(url->data, "sqlite:", 7) != 0 || url->len == 7 || url->data[7] == '/') {
        return NGX_CONF_OK;
    }
    file.data = url->data + 7;
    file.len = url->len - 7;
    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    p = ngx_pnalloc(cf->pool, 7 + file.len + 1);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }
    url->data = p;
    url->len = ngx_sprintf(p, "sqlite:%V%Z", &file) - p - 1;

    return NGX_CONF_OK;
}


/* Reads a table of routes. */
static char *
ngx_http_portcullis_routes(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    off_t                           size;
    u_char                         *text;
    ngx_fd_t                        fd;
    ngx_str_t                      *value, path;
    ngx_file_t                      file;
    ngx_file_info_t                 info;
    pcl_string                     *error;
    pcl_policy                     *policy;
    pcl_options                     options;
    ngx_http_portcullis_loc_conf_t *own = conf;

    if (own->routes.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    path = value[1];
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* Without waiting: the path may be that of a pipe. */
    fd = ngx_open_file(path.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "portcullis: cannot read `%V`", &path);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(file));
    file.fd = fd;
    file.name = path;
    file.log = cf->log;
    size = -1;
    text = NULL;
    if (ngx_fd_info(fd, &info) != NGX_FILE_ERROR && ngx_is_file(&info) && ngx_file_size(&info) <= PCL_MAX_TEXT) {
        size = ngx_file_size(&info);
        text = ngx_pnalloc(cf->pool, size + 1);
    }
    if (text == NULL || ngx_read_file(&file, text, size, 0) != (ssize_t) size) {
        ngx_close_file(fd);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "portcullis: expected a file of at most %d bytes, found `%V`", PCL_MAX_TEXT, &path);
        return NGX_CONF_ERROR;
    }
    ngx_close_file(fd);
    own->routes.data = text;
    own->routes.len = size;

    /* An empty policy shows here whether the table is valid, where the position is that of the directive. */
    ngx_memzero(&options, sizeof(options));
    options.struct_size = sizeof(options);
    options.routes.data = (char *) text;
    options.routes.length = size;
    error = NULL;
    policy = pcl_open_bytes(pcl_text_of("[]"), &options, &error);
    if (policy == NULL) {
        ngx_http_portcullis_log_lines(NGX_LOG_EMERG, cf->log, pcl_string_text(error), NULL);
        pcl_string_free(error);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "portcullis: expected a table of routes, found `%V`", &path);
        return NGX_CONF_ERROR;
    }
    pcl_policy_free(policy);

    return NGX_CONF_OK;
}


/* Whether a text is an origin as browsers send it: scheme and host, perhaps a port, and nothing else. */
static ngx_uint_t
ngx_http_portcullis_is_origin(ngx_str_t *text)
{
    size_t i, scheme;

    scheme = ngx_strncmp(text->data, "https://", 8) == 0 ? 8 : ngx_strncmp(text->data, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0 || text->len == scheme) {
        return 0;
    }
    for (i = scheme; i < text->len; i++) {
        if (ngx_strchr("/*,;@?# \\", text->data[i]) != NULL || (text->data[i] >= 'A' && text->data[i] <= 'Z')) {
            return 0;
        }
    }
    return 1;
}


static char *
ngx_http_portcullis_origins(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    pcl_text                       *origin;
    ngx_str_t                      *value;
    ngx_uint_t                      i, is_any;
    ngx_http_portcullis_loc_conf_t *own = conf;

    if (own->origins != NULL) {
        return "is duplicate";
    }
    own->origins = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(pcl_text));
    if (own->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        return NGX_CONF_OK;
    }
    for (i = 1; i < cf->args->nelts; i++) {
        is_any = cf->args->nelts == 2 && ngx_strcmp(value[i].data, "*") == 0;
        if (!is_any && !ngx_http_portcullis_is_origin(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "portcullis: expected an origin as browsers send it, found `%V`; "
                               "help: write `https://app.example.com`, or `*` alone for all origins, or `none`",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
        origin = ngx_array_push(own->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }
        origin->data = (char *) value[i].data;
        origin->length = value[i].len;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_portcullis_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_portcullis_main_conf_t *main;

    main = ngx_pcalloc(cf->pool, sizeof(ngx_http_portcullis_main_conf_t));
    if (main == NULL
        || ngx_array_init(&main->opened, cf->pool, 2, sizeof(ngx_http_portcullis_policy_t *)) != NGX_OK)
    {
        return NULL;
    }
    return main;
}


static void *
ngx_http_portcullis_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_portcullis_loc_conf_t *own;

    own = ngx_pcalloc(cf->pool, sizeof(ngx_http_portcullis_loc_conf_t));
    if (own == NULL) {
        return NULL;
    }
    own->enabled = NGX_CONF_UNSET;
    own->origin_as_referer = NGX_CONF_UNSET;
    own->refuse_query_tokens = NGX_CONF_UNSET;
    own->pass_preflights = NGX_CONF_UNSET;
    own->max_body = NGX_CONF_UNSET_SIZE;
    own->poll = NGX_CONF_UNSET_MSEC;
    return own;
}


static void
ngx_http_portcullis_merge_path(ngx_str_t *path, ngx_http_portcullis_position_t *at, ngx_str_t *outer,
    ngx_http_portcullis_position_t *outer_at)
{
    if (path->data == NULL) {
        *path = *outer;
        *at = *outer_at;
    }
}


static char *
ngx_http_portcullis_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    pcl_text                       *origin;
    ngx_http_portcullis_options_t   options;
    ngx_http_portcullis_loc_conf_t *outer = parent;
    ngx_http_portcullis_loc_conf_t *own = child;

    if (own->enabled == NGX_CONF_UNSET) {
        own->enabled_at = outer->enabled_at;
    }
    ngx_conf_merge_value(own->enabled, outer->enabled, 0);
    ngx_http_portcullis_merge_path(&own->path, &own->path_at, &outer->path, &outer->path_at);
    ngx_http_portcullis_merge_path(&own->shadow_path, &own->shadow_at, &outer->shadow_path, &outer->shadow_at);
    if (own->routes.data == NULL) {
        own->routes = outer->routes;
    }
    if (own->origins == NULL) {
        own->origins = outer->origins;
    }
    ngx_conf_merge_value(own->origin_as_referer, outer->origin_as_referer, 0);
    ngx_conf_merge_value(own->refuse_query_tokens, outer->refuse_query_tokens, 0);
    ngx_conf_merge_value(own->pass_preflights, outer->pass_preflights, 0);
    ngx_conf_merge_size_value(own->max_body, outer->max_body, 1024 * 1024);
    ngx_conf_merge_msec_value(own->poll, outer->poll, 1000);

    if (!own->enabled) {
        return NGX_CONF_OK;
    }
    if (own->path.data == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "portcullis: expected a policy, found none; help: write `portcullis_policy policy.json;` in %V:%ui",
                      &own->enabled_at.file, own->enabled_at.line);
        return NGX_CONF_ERROR;
    }
    if (own->max_body == 0 || own->max_body > PCL_MAX_TEXT || own->poll == 0 || own->poll > NGX_MAX_UINT32_VALUE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "portcullis: expected `portcullis_max_body_size` from 1 to 16m and `portcullis_poll_interval` from 1ms, "
                      "found %uz and %Mms in %V:%ui", own->max_body, own->poll, &own->enabled_at.file, own->enabled_at.line);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&options, sizeof(options));
    options.routes = own->routes;
    options.max_body = own->max_body;
    options.poll = own->poll;
    options.flags = (own->origin_as_referer ? PCL_ORIGIN_AS_REFERER : 0)
                    | (own->refuse_query_tokens ? PCL_REFUSE_QUERY_TOKENS : 0)
                    | (own->pass_preflights ? PCL_PASS_PREFLIGHTS : 0);
    if (own->origins != NULL && own->origins->nelts > 0) {
        origin = own->origins->elts;
        if (origin->length == 1) {
            options.flags |= PCL_CORS_ANY;
        } else {
            options.origins = origin;
            options.origin_count = own->origins->nelts;
        }
    }

    options.path = own->path;
    own->policy = ngx_http_portcullis_open(cf, &options, &own->path_at);
    if (own->policy == NULL) {
        return NGX_CONF_ERROR;
    }
    if (own->shadow_path.data != NULL) {
        options.path = own->shadow_path;
        own->shadow = ngx_http_portcullis_open(cf, &options, &own->shadow_at);
        if (own->shadow == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_portcullis_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_portcullis_add_variables(cf);
}


static ngx_int_t
ngx_http_portcullis_postconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t                       i;
    ngx_http_handler_pt             *handler;
    ngx_http_core_main_conf_t       *core;
    ngx_http_portcullis_main_conf_t *main;
    static ngx_http_phases           phases[] = { NGX_HTTP_REWRITE_PHASE, NGX_HTTP_PRECONTENT_PHASE };

    main = ngx_http_conf_get_module_main_conf(cf, ngx_http_portcullis_module);
    if (main->opened.nelts == 0) {
        return NGX_OK;
    }
    main->policies.list = main->opened.elts;
    main->policies.count = main->opened.nelts;

    core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        handler = ngx_array_push(&core->phases[phases[i]].handlers);
        if (handler == NULL) {
            return NGX_ERROR;
        }
        *handler = ngx_http_portcullis_gate;
    }
    ngx_http_portcullis_init_filters();

    return ngx_http_portcullis_add_metrics(cf, &main->policies);
}


/* Nginx calls the handlers of a phase from the last to the first, and each module adds its own when it is loaded. */
static ngx_int_t
ngx_http_portcullis_init_module(ngx_cycle_t *cycle)
{
    ngx_array_t                     *handlers;
    ngx_http_handler_pt             *handler;
    ngx_http_core_main_conf_t       *core;
    ngx_http_portcullis_main_conf_t *main;

    main = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_portcullis_module);
    if (main == NULL || main->policies.count == 0) {
        return NGX_OK;
    }

    core = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);
    handlers = &core->phases[NGX_HTTP_REWRITE_PHASE].handlers;
    handler = handlers->elts;
    if (handler[handlers->nelts - 1] != ngx_http_portcullis_gate) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "portcullis: another module answers requests before the check; "
                      "help: write the `load_module` of ngx_http_portcullis_module.so as the last one");
        return NGX_ERROR;
    }

    return NGX_OK;
}

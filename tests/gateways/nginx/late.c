/* A module for nginx whose handler would run before the check, if it is loaded later. It decides nothing. */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_int_t handler(ngx_http_request_t *r) { return r == NULL ? NGX_ERROR : NGX_DECLINED; }

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *last = ngx_array_push(&core->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (last == NULL) return NGX_ERROR;
    *last = handler;
    return NGX_OK;
}

static ngx_http_module_t context = {NULL, postconfiguration, NULL, NULL, NULL, NULL, NULL, NULL};
static ngx_command_t commands[] = {ngx_null_command};

ngx_module_t ngx_http_late_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

ngx_module_t *ngx_modules[] = {&ngx_http_late_module, NULL};
char *ngx_module_names[] = {"ngx_http_late_module", NULL};
char *ngx_module_order[] = {NULL};

<?php
// A map service on PHP. `php -S` runs it for every path, and reports what it reads in the header `X-Report`.

/** Returns every text in a parameter's value: an application may take the first, the last or all of them. */
function texts($value): array
{
    $found = [];
    $values = is_array($value) ? $value : [$value];
    array_walk_recursive($values, function ($text) use (&$found) {
        if (is_string($text)) {
            $found[] = $text;
        }
    });
    return $found;
}

function reads(array $segments, array $view): array
{
    $get = fn(string $name) => array_key_exists($name, $view) ? texts($view[$name]) : [];
    $found = [];
    $add = function (string $api, string $kind, string $connection, array $texts) use (&$found) {
        foreach ($texts as $text) {
            $found[] = [$api, $kind, $connection, $text];
        }
    };
    $path = implode('/', $segments);
    if (preg_match('#^maps/([^/]+)/(table|tileset|raster)(/|$)#', $path, $match)) {
        $add('maps', 'resource', $match[1], $get('name'));
    } elseif (preg_match('#^maps/([^/]+)/query(/|$)#', $path, $match)) {
        $add('maps', 'q', $match[1], $get('q'));
    } elseif (preg_match('#^maps/([^/]+)/boundary(/|$)#', $path, $match)) {
        $add('maps', 'resource', $match[1], $get('tilesetTableName'));
        $add('maps', 'resource', $match[1], $get('propertiesTableName'));
        $add('maps', 'query', $match[1], $get('propertiesSqlQuery'));
    } elseif (preg_match('#^sql/([^/]+)/(query|job)/?$#', $path, $match)) {
        $add('sql', 'q', $match[1], $get('q'));
    } elseif (preg_match('#^sql/([^/]+)/model/[^/]+/?$#', $path, $match)) {
        foreach ($get('type') as $type) {
            $add('model', $type === 'query' ? 'q' : 'resource', $match[1], $get('source'));
        }
    } elseif (preg_match('#^stats/([^/]+)/([^/]+)/[^/]+/?$#', $path, $match)) {
        $add('maps', 'resource', $match[1], [$match[2]]);
        $add('maps', 'q', $match[1], $get('q'));
    } elseif (preg_match('#^stats/([^/]+)/[^/]+/?$#', $path, $match)) {
        $add('maps', 'q', $match[1], $get('q'));
    } elseif (preg_match('#^imports/([^/]+)/?$#', $path, $match)) {
        $add('imports', 'resource', $match[1], $get('destination'));
    }
    return $found;
}

$method = $_SERVER['REQUEST_METHOD'];
// Symfony lets these replace the method of a POST.
$override = $_SERVER['HTTP_X_HTTP_METHOD_OVERRIDE'] ?? $_POST['_method'] ?? $_GET['_method'] ?? null;
if ($method === 'POST' && is_string($override) && preg_match('/^[A-Z]+$/', strtoupper($override))) {
    $method = strtoupper($override);
}
$found = [];
// Some frameworks believe what IIS says about a URL that it has rewritten.
$uris = [$_SERVER['REQUEST_URI'], $_SERVER['HTTP_X_ORIGINAL_URL'] ?? '', $_SERVER['HTTP_X_REWRITE_URL'] ?? ''];
foreach ($method === 'OPTIONS' ? [] : $uris as $uri) {
    // As Symfony does, the whole path is decoded before it is matched.
    $path = rawurldecode((string) parse_url($uri, PHP_URL_PATH));
    if (preg_match('#^(?:/api)?/v3/(.*)$#s', $path, $match)) {
        $segments = explode('/', $match[1]);
        $json = json_decode(file_get_contents('php://input'), true);
        $json = is_array($json) ? $json : [];
        parse_str((string) parse_url($uri, PHP_URL_QUERY), $query);
        foreach ([$query, $_GET, $_POST, $_REQUEST, $json, $json + $_GET, $_GET + $json] as $view) {
            array_push($found, ...reads($segments, $view));
        }
    }
}
$report = [
    'method' => $method,
    'reads' => array_values(array_unique($found, SORT_REGULAR)),
    'token_id' => $_SERVER['HTTP_X_PORTCULLIS_TOKEN_ID'] ?? '',
    'tokens' => texts($_REQUEST['access_token'] ?? []),
];
header('X-Report: ' . base64_encode(json_encode($report, JSON_INVALID_UTF8_SUBSTITUTE)));

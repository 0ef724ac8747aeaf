// A map service on net/http. It reports what it reads in the header `X-Report`.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

type parameters struct {
	Name                string `json:"name"`
	Q                   string `json:"q"`
	Type                string `json:"type"`
	Source              string `json:"source"`
	TilesetTableName    string `json:"tilesetTableName"`
	PropertiesTableName string `json:"propertiesTableName"`
	PropertiesSqlQuery  string `json:"propertiesSqlQuery"`
	Destination         string `json:"destination"`
}

func (p parameters) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"name": p.Name, "q": p.Q, "type": p.Type, "source": p.Source,
		"tilesetTableName": p.TilesetTableName, "propertiesTableName": p.PropertiesTableName,
		"propertiesSqlQuery": p.PropertiesSqlQuery, "destination": p.Destination} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

type report struct {
	Method  string      `json:"method"`
	Reads   [][4]string `json:"reads"`
	TokenID string      `json:"token_id"`
	Tokens  []string    `json:"tokens"`
}

func merged(under, over url.Values) url.Values {
	all := url.Values{}
	for _, values := range []url.Values{under, over} {
		for name, list := range values {
			all[name] = list
		}
	}
	return all
}

func reads(segments []string, view url.Values) (found [][4]string) {
	add := func(api, kind, connection string, texts []string) {
		for _, text := range texts {
			found = append(found, [4]string{api, kind, connection, text})
		}
	}
	if len(segments) > 3 && segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1]
	}
	if len(segments) < 2 {
		return nil
	}
	connection, rest := segments[1], segments[2:]
	switch {
	case segments[0] == "maps" && len(rest) > 0:
		switch rest[0] {
		case "table", "tileset", "raster":
			add("maps", "resource", connection, view["name"])
		case "query":
			add("maps", "q", connection, view["q"])
		case "boundary":
			add("maps", "resource", connection, view["tilesetTableName"])
			add("maps", "resource", connection, view["propertiesTableName"])
			add("maps", "query", connection, view["propertiesSqlQuery"])
		}
	case segments[0] == "sql" && len(rest) == 1 && (rest[0] == "query" || rest[0] == "job"):
		add("sql", "q", connection, view["q"])
	case segments[0] == "sql" && len(rest) == 2 && rest[0] == "model":
		for _, kind := range view["type"] {
			if kind == "query" {
				add("model", "q", connection, view["source"])
			} else {
				add("model", "resource", connection, view["source"])
			}
		}
	case segments[0] == "stats" && len(rest) == 2:
		add("maps", "resource", connection, rest[:1])
		add("maps", "q", connection, view["q"])
	case segments[0] == "stats" && len(rest) == 1:
		add("maps", "q", connection, view["q"])
	case segments[0] == "imports" && len(rest) == 0:
		add("imports", "resource", connection, view["destination"])
	}
	return found
}

func serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var read parameters
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&read); err != nil {
		read = parameters{}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = r.ParseMultipartForm(1 << 20)
	answer := report{Method: r.Method, Reads: [][4]string{}, TokenID: r.Header.Get("X-Portcullis-Token-Id"), Tokens: []string{}}
	answer.Tokens = append(answer.Tokens, r.Form["access_token"]...)
	if r.Method != http.MethodOptions {
		_, path, _ := strings.Cut(r.URL.Path, "/v3/")
		segments := strings.Split(path, "/")
		seen := map[[4]string]bool{}
		of := read.values()
		for _, view := range []url.Values{r.URL.Query(), r.PostForm, r.Form, of, merged(r.Form, of), merged(of, r.Form)} {
			for _, each := range reads(segments, view) {
				if !seen[each] {
					seen[each] = true
					answer.Reads = append(answer.Reads, each)
				}
			}
		}
	}
	text, _ := json.Marshal(answer)
	w.Header().Set("X-Report", base64.StdEncoding.EncodeToString(text))
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/v3/", serve)
	mux.HandleFunc("/api/v3/", serve)
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1], Handler: mux, MaxHeaderBytes: 1 << 20}
	if err := server.ListenAndServe(); err != nil {
		panic(err)
	}
}

#pragma once
#include "text/jinja_runtime.hpp"

// The filters, by the file that holds them. Source of names, parameters and meanings: Jinja2 3.1,
// jinja2/filters.py; tojson: transformers' chat_template_utils.py.
namespace assay::jinja::filters {

// jinja_filters_text.cpp
Value capitalize(Runtime&, const Value&, const Arguments&);
Value center(Runtime&, const Value&, const Arguments&);
Value escape(Runtime&, const Value&, const Arguments&);
Value force_escape(Runtime&, const Value&, const Arguments&);
Value format(Runtime&, const Value&, const Arguments&);
Value indent(Runtime&, const Value&, const Arguments&);
Value join(Runtime&, const Value&, const Arguments&);
Value lower(Runtime&, const Value&, const Arguments&);
Value replace(Runtime&, const Value&, const Arguments&);
Value safe(Runtime&, const Value&, const Arguments&);
Value string(Runtime&, const Value&, const Arguments&);
Value title(Runtime&, const Value&, const Arguments&);
Value tojson(Runtime&, const Value&, const Arguments&);
Value trim(Runtime&, const Value&, const Arguments&);
Value truncate(Runtime&, const Value&, const Arguments&);
Value upper(Runtime&, const Value&, const Arguments&);
Value urlencode(Runtime&, const Value&, const Arguments&);
Value word_count(Runtime&, const Value&, const Arguments&);

// jinja_filters_number.cpp
Value absolute(Runtime&, const Value&, const Arguments&);
Value to_float(Runtime&, const Value&, const Arguments&);
Value to_int(Runtime&, const Value&, const Arguments&);
Value round(Runtime&, const Value&, const Arguments&);
Value sum(Runtime&, const Value&, const Arguments&);

// jinja_filters_sequence.cpp
Value attr(Runtime&, const Value&, const Arguments&);
Value batch(Runtime&, const Value&, const Arguments&);
Value fall_back(Runtime&, const Value&, const Arguments&);
Value first(Runtime&, const Value&, const Arguments&);
Value items(Runtime&, const Value&, const Arguments&);
Value last(Runtime&, const Value&, const Arguments&);
Value length(Runtime&, const Value&, const Arguments&);
Value list(Runtime&, const Value&, const Arguments&);
Value map(Runtime&, const Value&, const Arguments&);
Value reject(Runtime&, const Value&, const Arguments&);
Value reject_attr(Runtime&, const Value&, const Arguments&);
Value reverse(Runtime&, const Value&, const Arguments&);
Value select(Runtime&, const Value&, const Arguments&);
Value select_attr(Runtime&, const Value&, const Arguments&);
Value slice(Runtime&, const Value&, const Arguments&);

// jinja_filters_order.cpp
Value dict_sort(Runtime&, const Value&, const Arguments&);
Value group_by(Runtime&, const Value&, const Arguments&);
Value max(Runtime&, const Value&, const Arguments&);
Value min(Runtime&, const Value&, const Arguments&);
Value sort(Runtime&, const Value&, const Arguments&);
Value unique(Runtime&, const Value&, const Arguments&);

}  // namespace assay::jinja::filters

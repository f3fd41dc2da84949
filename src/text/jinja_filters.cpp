#include <algorithm>

#include "text/jinja_filter_table.hpp"

namespace assay::jinja {
namespace {

struct NamedFilter {
  std::string_view name;
  Native filter;
};

// Left out on purpose, as no prompt needs them: filesizeformat, pprint, random, striptags, urlize, wordwrap,
// xmlattr.
constexpr NamedFilter kFilters[] = {
    {"abs", filters::absolute},
    {"attr", filters::attr},
    {"batch", filters::batch},
    {"capitalize", filters::capitalize},
    {"center", filters::center},
    {"count", filters::length},
    {"d", filters::fall_back},
    {"default", filters::fall_back},
    {"dictsort", filters::dict_sort},
    {"e", filters::escape},
    {"escape", filters::escape},
    {"first", filters::first},
    {"float", filters::to_float},
    {"forceescape", filters::force_escape},
    {"format", filters::format},
    {"groupby", filters::group_by},
    {"indent", filters::indent},
    {"int", filters::to_int},
    {"items", filters::items},
    {"join", filters::join},
    {"last", filters::last},
    {"length", filters::length},
    {"list", filters::list},
    {"lower", filters::lower},
    {"map", filters::map},
    {"max", filters::max},
    {"min", filters::min},
    {"reject", filters::reject},
    {"replace", filters::replace},
    {"rejectattr", filters::reject_attr},
    {"reverse", filters::reverse},
    {"round", filters::round},
    {"safe", filters::safe},
    {"select", filters::select},
    {"slice", filters::slice},
    {"selectattr", filters::select_attr},
    {"sort", filters::sort},
    {"string", filters::string},
    {"sum", filters::sum},
    {"title", filters::title},
    {"tojson", filters::tojson},
    {"trim", filters::trim},
    {"truncate", filters::truncate},
    {"unique", filters::unique},
    {"upper", filters::upper},
    {"urlencode", filters::urlencode},
    {"wordcount", filters::word_count},
};

}  // namespace

Native find_filter(std::string_view name) noexcept {
  const auto* row = std::find_if(std::begin(kFilters), std::end(kFilters),
                                 [&](const NamedFilter& each) { return each.name == name; });
  return row == std::end(kFilters) ? nullptr : row->filter;
}

}  // namespace assay::jinja

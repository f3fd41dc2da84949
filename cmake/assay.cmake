# Compile options shared by every target, and the two verbs that declare a room of the house.

function(assay_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion
                                           $<$<BOOL:${ASSAY_WERROR}>:-Werror> -ffp-contract=off)
  # g++ 12 reports an impossible overlap inside std::string (GCC bug 105651).
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  # With precompiled headers it takes the standard library's code for the program's, and warns of strings longer than
  # memory. Builds without them keep these warnings.
  if(ASSAY_PCH)
    target_compile_options(${target} PRIVATE
      $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>)
  endif()
  if(ASSAY_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${ASSAY_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all
                                             # g++ takes the sanitizers' own reads for the program's.
                                             $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=${ASSAY_SANITIZE})
  endif()
endfunction()

# assay_precompile(NAME [FAST] LIBS libraries… HEADERS headers…): the object library NAME, whose precompiled headers
# others reuse, those of assay_compile_fast if FAST. Nothing is precompiled without ASSAY_PCH: ccache caches such files only with
# CCACHE_SLOPPINESS=pch_defines,time_macros, and only a build without it shows that a file includes all it uses.
function(assay_precompile name)
  if(NOT ASSAY_PCH)
    return()
  endif()
  cmake_parse_arguments(PCH "FAST" "" "LIBS;HEADERS" ${ARGN})
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${name}.cpp CONTENT "// carries precompiled headers\n")
  add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE ${PCH_LIBS})
  assay_compile_options(${name})
  if(PCH_FAST)
    assay_compile_fast(${name})
  endif()
  target_precompile_headers(${name} PRIVATE ${PCH_HEADERS})
endfunction()

# assay_reuse_headers(TARGET FROM): TARGET reads the headers that assay_precompile made.
function(assay_reuse_headers target from)
  if(ASSAY_PCH)
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# assay_compile_fast(TARGET): less optimization where the compiler spends the time and not the program: -O0 under the
# sanitizers, which see more there than less, else -O1.
function(assay_compile_fast target)
  if(ASSAY_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  else()
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
endfunction()

# assay_room(NAME [ROOMS lower rooms…] [LIBS public libraries…] [PRIVATE_LIBS …]): a static library
# assay_NAME of every source in src/NAME. main.cpp belongs to the binary, not to the room.
function(assay_room name)
  cmake_parse_arguments(ROOM "" "" "ROOMS;LIBS;PRIVATE_LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(ASSAY_SCALAR_ONLY OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(FILTER sources EXCLUDE REGEX "/(avx2|avx512|amx)/")
  endif()
  set(kind PUBLIC)
  if(sources)
    add_library(assay_${name} STATIC ${sources})
    assay_compile_options(assay_${name})
    if(name STREQUAL "cli")
      assay_compile_fast(assay_cli)
      assay_reuse_headers(assay_cli assay_cli_headers)
    else()
      assay_reuse_headers(assay_${name} assay_headers)
    endif()
  else()
    add_library(assay_${name} INTERFACE)
    set(kind INTERFACE)
  endif()
  target_include_directories(assay_${name} ${kind} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  foreach(lower ${ROOM_ROOMS})
    target_link_libraries(assay_${name} ${kind} assay_${lower})
  endforeach()
  target_link_libraries(assay_${name} ${kind} ${ROOM_LIBS})
  if(sources)
    target_link_libraries(assay_${name} PRIVATE ${ROOM_PRIVATE_LIBS})
  endif()
  if(ASSAY_SCALAR_ONLY)
    target_compile_definitions(assay_${name} ${kind} ASSAY_SCALAR_ONLY)
  endif()
  foreach(source ${sources})
    if(source MATCHES "/(avx2|avx512|amx)/")  # precompiled headers hold for one instruction set
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
    if(source MATCHES "/avx2/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
    elseif(source MATCHES "/avx512/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni;-mfma;-mf16c")
    elseif(source MATCHES "/amx/")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mamx-tile;-mamx-int8;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni;-mfma;-mf16c")
    endif()
  endforeach()
endfunction()

# assay_room_tests(NAME): the executable test_NAME of tests/NAME/*_test.cpp, and its tests.
function(assay_room_tests name)
  file(GLOB tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${name}/*_test.cpp)
  if(NOT tests)
    return()
  endif()
  file(GLOB support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.cpp)
  add_executable(test_${name} ${tests} ${support})
  target_link_libraries(test_${name} PRIVATE assay_${name} GTest::gtest_main)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(test_${name} PRIVATE ASSAY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  assay_compile_options(test_${name})
  if(NOT name MATCHES "^(tensor|formats|kernels)$")  # whose tests compute much, and inline what they test
    assay_compile_fast(test_${name})
    assay_reuse_headers(test_${name} assay_test_headers)
  endif()
  gtest_discover_tests(test_${name} TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60)
endfunction()

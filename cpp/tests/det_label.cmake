# Read by ctest: those of ${tests} that compare bits belong to det.
foreach(test IN LISTS tests)
  if(test MATCHES "Bits|Cutting|RowByRow|ResetEqualsFresh|SameBuffer")
    set_tests_properties("${test}" PROPERTIES LABELS det)
  endif()
endforeach()

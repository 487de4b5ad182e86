from bthcheck.benchmark.cpu import main

main()

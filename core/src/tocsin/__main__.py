from tocsin._cli import main

main()

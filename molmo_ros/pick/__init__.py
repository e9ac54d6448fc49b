"""`make pick`: a hand takes things off simulated tables by what the node says of them, judged by the simulator."""

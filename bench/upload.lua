-- wrk's script of the upload load: every request puts 1 MB.
wrk.method = "PUT"
wrk.body = string.rep("x", 1000000)

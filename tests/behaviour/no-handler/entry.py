def fetch(request):
    return "not a handler"

from tocsin.testing import ProviderSuite, Reply
from tocsin_ntfy import Ntfy


class TestNtfy(ProviderSuite):
    provider = Ntfy
    golden = "ntfy.json"
    broadcasts = ()

    def table(self):
        return {"topic": "alerts", "token": self.secret, "url": self.double.url}

    def answer(self, request):
        return Reply(json={"id": "xE73Iyuabi", "topic": request.json()["topic"]})

    def parts(self, request):
        published = request.json()
        return {"title": published["title"], "text": published["message"]}

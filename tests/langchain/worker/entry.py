import httpx
import yaml
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser, StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from pydantic import BaseModel
from workers import Response, WorkerEntrypoint


class Echo(BaseChatModel):
    """Answers with what it heard last."""

    @property
    def _llm_type(self):
        return "echo"

    def _generate(self, messages, stop=None, run_manager=None, **options):
        message = AIMessage(content=f"heard: {messages[-1].content}")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **options):
        return self._generate(messages, stop)


class Remote(BaseChatModel):
    """A model behind an endpoint as many services have it."""

    url: str

    @property
    def _llm_type(self):
        return "remote"

    def _question(self, messages):
        roles = {"system": "system", "human": "user", "ai": "assistant"}
        return {"model": "small", "messages": [{"role": roles[m.type], "content": m.content} for m in messages]}

    def _result(self, response):
        message = AIMessage(content=response.raise_for_status().json()["choices"][0]["message"]["content"])
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages, stop=None, run_manager=None, **options):
        return self._result(httpx.post(self.url, json=self._question(messages)))

    async def _agenerate(self, messages, stop=None, run_manager=None, **options):
        async with httpx.AsyncClient() as client:
            return self._result(await client.post(self.url, json=self._question(messages)))


class Joke(BaseModel):
    setup: str
    rating: int


prompt = ChatPromptTemplate.from_messages([("system", "You tell jokes."), ("human", "Tell me of {topic}")])
chain = prompt | Echo() | StrOutputParser()


def answering(text):
    return prompt | FakeListChatModel(responses=[text])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "remote":
                asked = prompt | Remote(url=self.env.MODEL) | StrOutputParser()
                return Response(await asked.ainvoke({"topic": "owls"}) + "; " + asked.invoke({"topic": "elks"}))
            case "refused":
                try:
                    return Response((prompt | Remote(url=self.env.MODEL + "/none")).invoke({"topic": "x"}).content)
                except httpx.HTTPStatusError as error:
                    return Response(f"refused: {error.response.status_code}")
            case "yaml":
                return Response(f"{yaml.safe_load('a: [1, b]')} {yaml.__with_libyaml__}")
            case "sync":
                return Response(chain.invoke({"topic": "bears"}))
            case "json":
                return Response.json(await (answering('{"a": [1]}') | JsonOutputParser()).ainvoke({"topic": "x"}))
            case "typed":
                parser = PydanticOutputParser(pydantic_object=Joke)
                joke = await (answering('{"setup": "why", "rating": 5}') | parser).ainvoke({"topic": "x"})
                return Response(f"{joke.setup} {joke.rating + 1}")
            case "stream":
                stream = (answering("abc") | StrOutputParser()).astream({"topic": "x"})
                return Response("|".join([part async for part in stream]))
            case "together":
                both = RunnableParallel(one=chain, length=chain | RunnableLambda(len))
                return Response.json(await both.ainvoke({"topic": "cats"}))
        return Response(await chain.ainvoke({"topic": "cats"}))

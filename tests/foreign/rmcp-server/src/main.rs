//! A server made with the Rust SDK, to rehearse against. Its tools do what the scenarios ask for by name.

#![expect(deprecated, reason = "logging, roots and sampling are part of the revisions that are rehearsed")]

use std::time::Duration;

use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolResult, CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, CreateMessageRequestParams,
    ListResourceTemplatesResult, ListResourcesResult, LoggingLevel, LoggingMessageNotificationParam,
    PaginatedRequestParams, ProgressNotificationParam, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role, SamplingMessage, ServerCapabilities,
    ServerConfig, SetLevelRequestParams,
};
use rmcp::schemars::{self, JsonSchema};
use rmcp::service::{ElicitationError, RequestContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{
    ErrorData, Json, RoleServer, ServerHandler, prompt, prompt_handler, prompt_router, tool, tool_handler, tool_router,
};
use serde::{Deserialize, Serialize};

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Size {
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct Time {
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Question {
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    message: String,
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    arg1: String,
    arg2: String,
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    temperature: f64,
    unit: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct User {
    username: String,
    email: String,
}

rmcp::elicit_safe!(User);

#[derive(Clone)]
struct Foreign {
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
}

fn embedded() -> ContentBlock {
    ContentBlock::resource(ResourceContents::text("embedded", "test://embedded-resource").with_mime_type("text/plain"))
}

fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[tool_router]
impl Foreign {
    fn new() -> Self {
        Self { tool_router: Self::tool_router(), prompt_router: Self::prompt_router() }
    }

    #[tool(description = "Returns a text", annotations(read_only_hint = true))]
    async fn test_simple_text(&self) -> String {
        "a text".to_owned()
    }

    #[tool(description = "Returns an image", annotations(read_only_hint = true))]
    async fn test_image_content(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::image(PIXEL, "image/png")])
    }

    #[tool(description = "Returns a sound", annotations(read_only_hint = true))]
    async fn test_audio_content(&self) -> CallToolResult {
        CallToolResult::success(vec![ContentBlock::audio(SILENCE, "audio/wav")])
    }

    #[tool(description = "Returns an embedded resource", annotations(read_only_hint = true))]
    async fn test_embedded_resource(&self) -> CallToolResult {
        CallToolResult::success(vec![embedded()])
    }

    #[tool(description = "Returns text, image and resource", annotations(read_only_hint = true))]
    async fn test_multiple_content_types(&self) -> CallToolResult {
        let image = ContentBlock::image(PIXEL, "image/png");
        CallToolResult::success(vec![ContentBlock::text("three kinds"), image, embedded()])
    }

    #[tool(description = "Returns a link to a resource", annotations(read_only_hint = true))]
    async fn test_resource_link(&self) -> CallToolResult {
        let link = Resource::new("test://static-text", "static-text").with_mime_type("text/plain");
        CallToolResult::success(vec![ContentBlock::resource_link(link)])
    }

    #[tool(description = "Returns structured content with a text copy", annotations(read_only_hint = true))]
    async fn test_structured(&self) -> Json<Weather> {
        Json(Weather { temperature: 21.5, unit: "celsius".to_owned() })
    }

    #[tool(description = "Always fails", annotations(read_only_hint = true))]
    async fn test_error_handling(&self) -> Result<String, String> {
        Err("This tool always fails".to_owned())
    }

    #[tool(description = "Returns its text as it is", annotations(read_only_hint = true))]
    async fn test_echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Returns a text of so many bytes", annotations(read_only_hint = true))]
    async fn test_large_result(&self, Parameters(Size { bytes }): Parameters<Size>) -> String {
        "x".repeat(bytes.min(8_388_608))
    }

    #[tool(description = "Reports progress three times", annotations(read_only_hint = true))]
    async fn test_tool_with_progress(&self, context: RequestContext<RoleServer>) -> Result<String, String> {
        for done in [0.0, 50.0, 100.0] {
            if let Some(token) = context.meta.get_progress_token() {
                let news = ProgressNotificationParam::new(token, done).with_total(100.0);
                context.peer.notify_progress(news).await.map_err(failed)?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok("done".to_owned())
    }

    #[tool(description = "Sends log messages while it works", annotations(read_only_hint = true))]
    async fn test_tool_with_logging(&self, context: RequestContext<RoleServer>) -> Result<String, String> {
        for words in ["one", "two", "three"] {
            let news = LoggingMessageNotificationParam::new(LoggingLevel::Info, words.into());
            context.peer.notify_logging_message(news).await.map_err(failed)?;
        }
        Ok("logged".to_owned())
    }

    #[tool(description = "Works for so many milliseconds", annotations(read_only_hint = true))]
    async fn test_slow(&self, Parameters(Time { ms }): Parameters<Time>) -> String {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        format!("worked {ms} ms")
    }

    #[tool(description = "Asks the client's model", annotations(read_only_hint = true))]
    async fn test_sampling(
        &self,
        Parameters(Question { prompt }): Parameters<Question>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        let asked = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
        let answer = context.peer.create_message(asked).await.map_err(failed)?;
        Ok(format!("The model says {:?}", answer.message))
    }

    #[tool(description = "Asks the client for its roots", annotations(read_only_hint = true))]
    async fn test_list_roots(&self, context: RequestContext<RoleServer>) -> Result<String, String> {
        let answer = context.peer.list_roots().await.map_err(failed)?;
        Ok(answer.roots.iter().map(|root| root.uri.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[tool(description = "Asks the user for two values", annotations(read_only_hint = true))]
    async fn test_elicitation(
        &self,
        Parameters(Message { message }): Parameters<Message>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        match context.peer.elicit::<User>(message).await {
            Ok(_) => Ok("The user chose accept".to_owned()),
            Err(ElicitationError::UserDeclined) => Ok("The user chose decline".to_owned()),
            Err(ElicitationError::UserCancelled) => Ok("The user chose cancel".to_owned()),
            Err(error) => Err(failed(error)),
        }
    }
}

#[prompt_router]
impl Foreign {
    #[prompt(description = "A prompt without arguments")]
    async fn test_simple_prompt(&self) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, "a prompt")]
    }

    #[prompt(description = "A prompt that repeats its two arguments")]
    async fn test_prompt_with_arguments(&self, Parameters(Two { arg1, arg2 }): Parameters<Two>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("first {arg1}, second {arg2}"))]
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Foreign {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_resources()
            .enable_tools()
            .build();
        ServerConfig::new(capabilities)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new("test://static-text", "static-text").with_mime_type("text/plain"),
            Resource::new("test://static-binary", "static-binary").with_mime_type("image/png"),
        ]))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("test://template/{id}/data", "template-data");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template.with_mime_type("application/json")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let contents = match uri {
            "test://static-text" => ResourceContents::text("static", uri).with_mime_type("text/plain"),
            "test://static-binary" => ResourceContents::blob(PIXEL, uri).with_mime_type("image/png"),
            _ => {
                let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
                let id = id.ok_or_else(|| ErrorData::resource_not_found("there is no such resource", None))?;
                ResourceContents::text(format!("{{\"id\": \"{id}\"}}"), uri).with_mime_type("application/json")
            }
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = ["one", "two"].map(|ending| format!("{}-{ending}", request.argument.value)).to_vec();
        let values = CompletionInfo::with_all_values(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(values))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), std::io::Error> {
    let port: u16 = std::env::var("PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    let config = StreamableHttpServerConfig::default();
    let service =
        StreamableHttpService::new(|| Ok(Foreign::new()), LocalSessionManager::default().into(), config);
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await
}
